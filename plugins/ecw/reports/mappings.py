"""The mappings as tables, and what their crosswalks cover: names, paths and counts, no values of records."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ecw.crm.db.business_table import find
from ecw.crm.db.enums import RejectState, RejectStep
from ecw.crm.db.tables import ecw_reject
from ecw.crm.state.practices import shown
from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.tools.propose import crm_names, ecw_names
from ecw.pull.mapped_columns import mapped_of
from ecw.reports.find_records import resource_of

UNMAPPED = "unmapped code"  # the rule of the reject
SHOWN = 200  # of one list, at most this many codes or names


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """One column of the CRM: its path in the FHIR resource, its direction of sync, and which side wins a conflict."""

    label: str
    column: str
    path: str
    type: str
    direction: str
    on_conflict: str
    required: bool
    crosswalk: str | None
    cleaned: str
    description: str


@dataclass(frozen=True, slots=True)
class CrosswalkState:
    """A crosswalk: its lines, the codes of eCW's list that it lacks, and how a mapping treats such codes (`unmapped`).

    `records_rejected` counts the records rejected for such a code, `defaulted` the rows with the default value.
    `unused` are values of the CRM's list that no code maps to. `missing` is None if eCW's list is not loaded, `unused`
    is None if the CRM has no list, and `defaulted` is None without a default.
    """

    name: str
    columns: list[str]
    unmapped: str
    default: str | None
    lines: list[tuple[str, str, str]]  # code, value, system
    missing: list[tuple[str, str]] | None  # code, what eCW calls it
    unused: list[str] | None
    records_rejected: int
    defaulted: int | None


@dataclass(frozen=True, slots=True)
class MappingTable:
    """One mapping file; `excluded` has the elements of the FHIR resource that are not mapped, each with the reason."""

    resource: str
    fhir_type: str
    table: str
    version: str
    file: str
    description: str
    columns: list[MappedColumn]
    excluded: list[tuple[str, str]]


def table_of(mapping: Mapping) -> MappingTable:
    """Return a mapping as a table."""
    return MappingTable(
        resource=resource_of(mapping),
        fhir_type=mapping.resource,
        table=mapping.table,
        version=mapping.version,
        file=mapping.file.name,
        description=mapping.description,
        columns=[_column(column) for column in mapping.columns],
        excluded=list(mapping.excluded.items()),
    )


def _column(column: Column) -> MappedColumn:
    return MappedColumn(
        label=column.label,
        column=column.name,
        path=f"{column.group}: {column.path}" if column.group else column.path,
        type=column.type,
        direction={"both": "both ways", "pull": "from eCW", "push": "to eCW"}[column.sync],
        on_conflict=column.on_conflict if column.sync == "both" else "",
        required=column.required,
        crosswalk=column.crosswalk,
        cleaned=", ".join(column.clean),
        description=column.description,
    )


def crosswalks(connection: Connection, practice: str, mapping: Mapping) -> list[CrosswalkState]:
    """Return the state of a mapping's crosswalks, those with the most rejected records first.

    Raises CrmSchemaError if the mapping does not fit its table.
    """
    resource = resource_of(mapping)
    records_rejected = _records_rejected(connection, practice, resource)
    target = find(connection, mapped_of(mapping))
    mine = shown(connection, practice, resource, target)
    states = []
    for crosswalk in mapping.crosswalks.values():
        names = [column.name for column in mapping.columns if column.crosswalk == crosswalk.name]
        defaulted = None
        if crosswalk.default is not None:
            pulled = [target.columns[name] for name in names if name in target.columns]
            defaulted = sum(
                connection.scalar(
                    select(func.count()).select_from(target.table).where(mine, column == crosswalk.default)
                )
                or 0
                for column in pulled
            )
        held = sum(records_rejected.get(name, 0) for name in names)
        states.append(_state(connection, crosswalk, names, held, defaulted))
    return sorted(states, key=lambda one: (-one.records_rejected, -len(one.missing or ()), one.name))


def _state(
    connection: Connection, crosswalk: Crosswalk, names: list[str], records_rejected: int, defaulted: int | None
) -> CrosswalkState:
    in_ecw, in_crm = ecw_names(connection, crosswalk), crm_names(connection, crosswalk)
    codes, values = {line[0] for line in crosswalk.lines}, {line[1] for line in crosswalk.lines}
    missing = None if in_ecw is None else sorted((code, name) for code, name in in_ecw.items() if code not in codes)
    return CrosswalkState(
        name=crosswalk.name,
        columns=names,
        unmapped=crosswalk.unmapped,
        default=crosswalk.default,
        lines=[(code, value, system) for code, value, system, _ in crosswalk.lines[:SHOWN]],
        missing=None if missing is None else missing[:SHOWN],
        unused=None if in_crm is None else sorted(set(in_crm) - values)[:SHOWN],
        records_rejected=records_rejected,
        defaulted=defaulted,
    )


def _records_rejected(connection: Connection, practice: str, resource: str) -> dict[str, int]:
    r = ecw_reject.c
    mine = (r.practice == practice, r.state == RejectState.OPEN, r.resource == resource, r.step == RejectStep.MAP)
    statement = select(r.column, func.count()).where(*mine, r.rule == UNMAPPED).group_by(r.column)
    return {column: int(records) for column, records in connection.execute(statement)}

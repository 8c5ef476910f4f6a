"""A business table of the CRM as it is found: its columns, its key, and whether a mapping fits it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, Uuid
from sqlalchemy.exc import NoSuchTableError

from ecw.crm.db import lenient_dates
from ecw.crm.db.converters import Converter, converter
from ecw.crm.db.enums import PRACTICE_OPTION
from ecw.errors import CrmSchemaError
from ecw.identity.person import Person
from ecw.three_way_merge import Rule

# Columns that the CRM's table may have beside those of the mapping.
LOCK = "emr_updates_locked"  # true: the row takes no updates, and nothing of it is pushed
CHANGED = "updated_at"  # when the row was last changed
STATUS = "emr_status"  # what happened to the record in eCW: inactive, merged, deceased, deleted, each with why
PRACTICE = "ecw_practice"  # the practice's code: whose row it is, where practices share the table

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")


def _as_it_is(_name: str, value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the CRM must know of a mapping: the table (`schema.table` where it has one) and the columns that it fills.

    `key` is the column among them that holds the eCW id, `references` are those that hold `FhirType/eCW-id`, `parks`
    those among them without whose record a row waits, `version` is the mapping's own. `rules` says how a column is
    merged, `cleaned` how the CRM's value of a column is compared: as a pull would clean it. `who` are the columns that
    tell a person from another, `born` the birth date among them, `contacts` those of phone numbers, e-mail addresses
    and streets, `person` reads a person from a row.
    """

    table: str
    key: str
    columns: tuple[str, ...]
    version: str
    references: frozenset[str] = frozenset()
    parks: frozenset[str] = frozenset()
    who: tuple[str, ...] = ()
    born: str | None = None
    contacts: tuple[str, ...] = ()
    rules: MappingType[str, Rule] = field(default_factory=dict)
    cleaned: Callable[[str, Any], Any] = _as_it_is
    person: Callable[[MappingType[str, Any]], Person] = Person.of


@dataclass(frozen=True, slots=True)
class BusinessTable:
    """The table, its primary key, and the columns that a mapping fills, each with its converter."""

    mapped: Mapped
    table: Table
    key: Column[Any]
    columns: dict[str, Column[Any]]
    converters: dict[str, Converter]
    practice: Column[Any] | None = None  # whose row it is; None where the table has no such column

    def key_of(self, text: str) -> Any:
        """Return a row's key from its text, however that is spelled (01, a UUID in capitals).

        Raises ValueError where it can be no key of this table.
        """
        if isinstance(self.key.type, Integer):
            if not _WHOLE_NUMBER.fullmatch(text.strip()) or abs(int(text)) >= 2**63:
                raise ValueError("no key of the table")
            return int(text)
        return UUID(text.strip()) if isinstance(self.key.type, Uuid) else text

    @property
    def meant(self) -> dict[str, Column[Any]]:
        """The references that have a column beside them for the key of the row they mean: `patient`, `patient_id`."""
        found = {name: self.table.columns.get(f"{name}_id") for name in sorted(self.mapped.references)}
        return {name: column for name, column in found.items() if column is not None}


def find(connection: Connection, mapped: Mapped) -> BusinessTable:
    """Return the mapping's table, ready to be filled.

    Raises CrmSchemaError with everything in the way at once.
    """
    table = _reflect(connection, mapped.table)
    practice = practice_column(connection)
    found = list(_problems(table, mapped, practice))
    if found:
        raise CrmSchemaError(
            f"The mapping does not fit the CRM's table {mapped.table}: {'; '.join(found)}.",
            next_move="fix the mapping file, or the CRM's table, until they agree; `ecw mapping check` shows both.",
        )
    [key] = table.primary_key.columns
    columns = {name: table.columns[name] for name in mapped.columns}
    fits = {name: fit for name, column in columns.items() if (fit := converter(column.type))}
    return BusinessTable(
        mapped, table, key, columns, fits, None if practice in columns else table.columns.get(practice)
    )


def practice_column(connection: Connection) -> str:
    """Return the name of the column that says whose a row is; the CRM connection's extra `practice_column` sets it."""
    return str(connection.get_execution_options().get(PRACTICE_OPTION) or PRACTICE)


def key_of(connection: Connection, name: str) -> Column[Any]:
    """Return the key of one of the CRM's tables that a mapping fits: see `problems`.

    Raises CrmSchemaError where the table does not exist.
    """
    [key] = _reflect(connection, name).primary_key.columns
    return key


def problems(connection: Connection, mapped: Mapped) -> list[str]:
    """Return why a mapping cannot fill its table; an empty list where it can.

    Raises CrmSchemaError where the table does not exist.
    """
    return list(_problems(_reflect(connection, mapped.table), mapped, practice_column(connection)))


def _reflect(connection: Connection, name: str) -> Table:
    schema, _, bare = name.rpartition(".")
    try:
        return Table(
            *(bare, MetaData()),
            schema=schema or None,
            autoload_with=connection,
            resolve_fks=False,
            listeners=[("column_reflect", lenient_dates.reflected)],
        )
    except NoSuchTableError:
        raise CrmSchemaError(
            f"The CRM has no table {name}.",
            next_move="run `ecw migrate`, or fix `table` in the mapping file.",
        ) from None


def _problems(table: Table, mapped: Mapped, practice: str) -> Iterable[str]:
    wanted = mapped.columns
    if mapped.key not in wanted:
        yield f"its key {mapped.key} is not among the columns of the mapping"
    keys = list(table.primary_key.columns)
    if len(keys) != 1:
        yield f"it needs a primary key of one column, and has {len(keys)}"
    elif keys[0].name in wanted:
        yield f"the mapping fills {keys[0].name}, the table's own key"
    elif not isinstance(keys[0].type, Integer | String | Uuid):
        yield f"its key {keys[0].name} is neither a whole number, text nor a UUID"
    elif keys[0].identity is not None and keys[0].identity.always:
        yield f"its key {keys[0].name} is GENERATED ALWAYS; BY DEFAULT would do"
    for name in wanted:
        if name not in table.columns:
            near = get_close_matches(name, table.columns.keys(), n=1)
            yield f"it has no column {name}" + (f" (did you mean {near[0]}?)" if near else "")
        elif converter(table.columns[name].type) is None:
            yield f"column {name} has a type that we do not fill"
    if practice in table.columns and practice not in wanted and not isinstance(table.columns[practice].type, String):
        yield f"column {practice}, which says whose row it is, does not hold text"
    for column in table.columns:
        generated = column.server_default is not None or column.identity is not None or column.computed is not None
        if not (column.nullable or generated or column.primary_key or column.name in (*wanted, practice)):
            yield f"column {column.name} must be filled, and the mapping does not"

"""The quality reports that the console, the Quality page of a run and `ecw quality` show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, literal_column, select

from ecw.crm.db.tables import ecw_quality_result, ecw_reject, ecw_run
from ecw.crm.state.quality_results import VERDICTS, VOLUME
from ecw.resources import RESOURCES


@dataclass(frozen=True, slots=True)
class Report:
    """The result of the check for one resource of a run: counts, rules and verdicts.

    `run_record` is the resource's row of ecw_run. `rejects` counts the run's rejects: (step, rule, column, records).
    """

    practice: str
    resource: str
    run_record: RowMapping | None
    volume: RowMapping | None
    rules: Sequence[RowMapping]
    rejects: Sequence[tuple[str, str, str, int]]

    @property
    def verdict(self) -> str | None:
        """The worst verdict; None if nothing was checked."""
        verdicts = [row["verdict"] for row in (self.volume, *self.rules) if row is not None]
        return max(verdicts, key=VERDICTS.index, default=None)

    @property
    def at(self) -> datetime | None:
        """When the check ended."""
        return self.volume["at"] if self.volume is not None else None


def of_run(
    connection: Connection, run_id: str, resource: str | None = None, *, practice: str | None = None
) -> list[Report]:
    """Return the reports of a run, or of one resource of it, in the order of resources.py.

    Two practices may have runs with the same id: without `practice`, the reports of both are returned.
    """
    key = {"run_id": run_id} | ({"resource": resource} if resource else {})
    key |= {"practice": practice} if practice else {}
    records = {_of(row): row for row in connection.execute(select(ecw_run).filter_by(**key)).mappings()}
    findings: dict[tuple[str, str], list[RowMapping]] = {}
    ordered = select(ecw_quality_result).filter_by(**key).order_by(ecw_quality_result.c.number)
    for row in connection.execute(ordered).mappings():
        findings.setdefault(_of(row), []).append(row)
    refused = _rejects(connection, key)
    return [
        Report(
            practice=practice,
            resource=name,
            run_record=records.get((practice, name)),
            volume=next((row for row in findings.get((practice, name), ()) if row["rule"] == VOLUME), None),
            rules=[row for row in findings.get((practice, name), ()) if row["rule"] != VOLUME],
            rejects=refused.get((practice, name), []),
        )
        for practice, name in sorted({*records, *findings}, key=_order)
    ]


def runs_statement() -> Select[Any]:
    """Return the statement that lists runs, the latest first; it reads the index ecw_quality_runs only."""
    q = ecw_quality_result
    last = func.max(q.c.at).label("last")
    # A literal, not a parameter: only a literal 0 matches the condition of the partial index.
    volume = q.c.number == literal_column("0")
    statement = select(q.c.practice, q.c.run_id, last).where(volume).group_by(q.c.practice, q.c.run_id)
    return statement.order_by(last.desc(), q.c.run_id)


def last_run(connection: Connection, practice: str | None = None) -> tuple[str, str] | None:
    """Return (practice, run id) of the latest check, of all practices or of one; None before the first check."""
    statement = runs_statement()
    if practice is not None:
        statement = statement.where(ecw_quality_result.c.practice == practice)
    row = connection.execute(statement.limit(1)).one_or_none()
    return None if row is None else (row.practice, row.run_id)


def _rejects(connection: Connection, key: dict[str, str]) -> dict[tuple[str, str], list[tuple[str, str, str, int]]]:
    r = ecw_reject
    group = (r.c.practice, r.c.resource, r.c.step, r.c.rule, r.c.column)
    statement = select(*group, func.count().label("records")).where(r.c.last_run == key["run_id"]).group_by(*group)
    for name in ("resource", "practice"):
        if name in key:
            statement = statement.where(r.c[name] == key[name])
    found: dict[tuple[str, str], list[tuple[str, str, str, int]]] = {}
    for practice, resource, step, rule, column, records in connection.execute(statement.order_by(*group)):
        found.setdefault((practice, resource), []).append((step, rule, column, records))
    return found


def _of(row: RowMapping) -> tuple[str, str]:
    return row["practice"], row["resource"]


def _order(key: tuple[str, str]) -> tuple[Any, ...]:
    names = list(RESOURCES)
    practice, resource = key
    return practice, names.index(resource) if resource in names else len(names), resource

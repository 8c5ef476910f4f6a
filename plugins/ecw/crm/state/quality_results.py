"""The quality reports: the findings of the check for each batch, one for each rule, without values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median_high
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, and_, delete, select

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import RejectState, RejectStep
from ecw.crm.db.errors import working
from ecw.crm.db.tables import ecw_link, ecw_merge_base, ecw_quality_result, ecw_reject, ecw_run
from ecw.crm.db.upsert import upsert
from ecw.crm.state import baselines
from ecw.crm.state.runs import LOADED
from ecw.models import Run, RunType

PASS, WARN, REJECT, STOP = VERDICTS = ("pass", "warn", "reject", "stop")  # the worst last
VOLUME = "volume"
_IDS_PER_STATEMENT = 1_000  # SQLite and PostgreSQL both take that many parameters


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one rule for a batch.

    `rows` is the number of all records that the run covered, including the unchanged ones. `broken` is how many of
    those that were checked break the rule, `broken_new` how many of them no earlier run found breaking it. For the
    rule `volume`, `rows` is the number of records that eCW has, and `broken` how many fewer than usual that is.
    """

    rule: str
    column: str
    demand: str
    on_fail: str
    rows: int
    broken: int
    verdict: str
    reason: str = ""
    max_failed_ratio: float | None = None
    usual: int | None = None
    scope: str | None = None
    broken_new: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The results of earlier runs for a record.

    `rejected` are the rules, as (name, column), that the record is in quarantine for, each with the hash of the
    rejected content. `entered` is the hash of the content that the CRM's row was made from, `values` are the values
    that the row got from it.
    """

    rejected: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    entered: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usual:
    """How many records comparable runs usually find; `number` is None without such runs.

    `full_scan`: the runs covered everything that eCW has. `never_nothing`: how many runs are compared, if each of them
    found something; else 0. `alike`: the runs covered parts of similar size.
    """

    number: int | None
    full_scan: bool = True
    never_nothing: int = 0
    alike: bool = False
    without_deleted: int | None = None  # the number less the records deleted since; full scans only


def write(engine: Engine, run: Run, resource: str, findings: Iterable[Finding]) -> None:
    """Write the report of a resource of the run, replacing an earlier one, in a transaction of its own.

    Raises DatabaseUnavailable.
    """
    now = datetime.now(UTC)
    key = {"practice": run["practice"], "run_id": run["run_id"], "resource": resource}
    number = -1
    with working(f"The quality report of {resource}"), engine.begin() as connection:
        for number, finding in enumerate(findings):
            upsert(connection, ecw_quality_result, key | {"number": number}, asdict(finding) | {"at": now})
        connection.execute(delete(ecw_quality_result).filter_by(**key).where(ecw_quality_result.c.number > number))


def usual(
    engine: Engine,
    run: Run,
    resource: str,
    *,
    full_scan: bool,
    strategy: str | None = None,
    patients_queried: int | None = None,
) -> Usual:
    """Return how many records the last comparable, loaded runs found: their median.

    Full scans are compared with full scans. The other runs cover parts. Of them only scheduled runs are comparable,
    with runs of the same `strategy`; and per patient if `patients_queried` patients were queried one by one.
    """
    if not full_scan and run["run_type"] != RunType.SCHEDULED:
        return Usual(None, full_scan)
    with reading(engine) as connection:
        before = baselines.before(
            connection, run["practice"], resource, run["run_id"], full_scan=full_scan, strategy=strategy
        )
    if not before:
        return Usual(None, full_scan)
    records = [seen.records for seen in before]
    never_nothing = len(records) if min(records) else 0
    alike = not full_scan and strategy in baselines.ALIKE and run["window_start"] is not None
    number = baselines.number(before, patients_queried, full_scan=full_scan) if full_scan or alike else None
    if number is None:
        return Usual(median_high(records), full_scan, never_nothing)
    without_deleted = median_high(seen.records - seen.deleted_since for seen in before) if full_scan else None
    return Usual(number, full_scan, never_nothing, alike, without_deleted)


def judged(engine: Engine, practice: str, resource: str, ecw_ids: Collection[str]) -> dict[str, Judged]:
    """Return the results of earlier runs for those of the records that are rejected or loaded, by eCW id."""
    wanted = sorted(set(ecw_ids))
    found: dict[str, Judged] = {}
    with reading(engine) as connection:
        for start in range(0, len(wanted), _IDS_PER_STATEMENT):
            found |= _judged(connection, practice, resource, wanted[start : start + _IDS_PER_STATEMENT])
    return found


def rules_before(engine: Engine, run: Run, resource: str) -> set[tuple[str, str, str, float | None]]:
    """Return the rules, as (name, columns, on_fail, max_failed_ratio), that earlier, loaded runs were checked by."""
    q, r = ecw_quality_result, ecw_run
    same = and_(r.c.practice == q.c.practice, r.c.run_id == q.c.run_id, r.c.resource == q.c.resource)
    statement = (
        select(q.c.rule, q.c.column, q.c.on_fail, q.c.max_failed_ratio)
        .join(r, same)
        .where(q.c.practice == run["practice"], q.c.resource == resource, q.c.run_id != run["run_id"], q.c.number > 0)
        .where(r.c.state == LOADED)
        .distinct()
    )
    with reading(engine) as connection:
        return {(rule, column, on_fail, ratio) for rule, column, on_fail, ratio in connection.execute(statement)}


def _judged(connection: Connection, practice: str, resource: str, ecw_ids: list[str]) -> dict[str, Judged]:
    r, link, agreed = ecw_reject, ecw_link, ecw_merge_base
    rejected: dict[str, dict[tuple[str, str], str | None]] = {}
    refused = select(r.c.ecw_id, r.c.rule, r.c.column, r.c.hash).where(
        *(r.c.practice == practice, r.c.resource == resource, r.c.ecw_id.in_(ecw_ids)),
        *(r.c.step == RejectStep.CHECK, r.c.state != RejectState.RESOLVED),
    )
    for ecw_id, rule, column, content in connection.execute(refused):
        rejected.setdefault(ecw_id, {})[rule, column] = content
    same = and_(*(agreed.c[name] == link.c[name] for name in ("practice", "resource", "ecw_id")))
    entered = (
        select(link.c.ecw_id, link.c.hash, agreed.c.emr)
        .join(agreed, same)
        .where(link.c.practice == practice, link.c.resource == resource, link.c.ecw_id.in_(ecw_ids))
    )
    found = {
        ecw_id: Judged(rejected.get(ecw_id, {}), content, orjson.loads(emr))
        for ecw_id, content, emr in connection.execute(entered)
    }
    return {ecw_id: Judged(rules) for ecw_id, rules in rejected.items()} | found

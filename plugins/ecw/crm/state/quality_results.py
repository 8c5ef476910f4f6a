"""The quality reports: what the check found in each batch, rule by rule, without values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median_high
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, and_, delete, select

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import RejectState
from ecw.crm.db.errors import working
from ecw.crm.db.tables import ecw_link, ecw_merge_base, ecw_quality_result, ecw_reject, ecw_run
from ecw.crm.db.upsert import upsert
from ecw.crm.state import baselines
from ecw.crm.state.runs import LOADED
from ecw.models import Run

PASS, WARN, REJECT, STOP = VERDICTS = ("pass", "warn", "reject", "stop")  # the worst last
VOLUME = "volume"
_ASKED = 1_000  # ids in one statement: SQLite and PostgreSQL both take that many


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found in a batch; the volume's are records that eCW has, and how many fewer than usual.

    `rows` are all records that the run covered, the unchanged ones included; `broken` are those of them that were
    judged and break the rule, `broken_new` those that an earlier run did not know to break it.
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
    """What earlier runs have found out about a record.

    `rejected` are the rules, as (name, column), that this very content (hash) is in quarantine for. `entered` is the
    content that the CRM's row was made from, `values` what the row got from it.
    """

    rejected: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    entered: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usual:
    """How many records comparable runs find; None where there was none.

    `full_scan`: the runs saw everything that eCW has. `never_nothing`: of the last runs, how many there were, if each
    of them found something. `alike`: they saw a part, but always one of like size.
    """

    number: int | None
    full_scan: bool = True
    never_nothing: int = 0
    alike: bool = False
    without_deleted: int | None = None  # the same without the records that are known to be gone since; whole runs only


def write(engine: Engine, run: Run, resource: str, findings: Iterable[Finding]) -> None:
    """Put the report of a resource of the run in the place of an earlier one, in a transaction of its own.

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
    """Return how many records the last runs found that are comparable and whose rows were loaded: their median.

    Whole runs are compared with whole ones. The others see parts; of them only the scheduled are comparable, with those
    by the same `strategy`, and by the patient where so many were `asked` about one by one.
    """
    if not full_scan and run["run_type"] != "scheduled":
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
    """Return what earlier runs have found out about records: those that are rejected, and those that entered."""
    wanted = sorted(set(ecw_ids))
    found: dict[str, Judged] = {}
    with reading(engine) as connection:
        for start in range(0, len(wanted), _ASKED):
            found |= _judged(connection, practice, resource, wanted[start : start + _ASKED])
    return found


def rules_before(engine: Engine, run: Run, resource: str) -> set[tuple[str, str, str, float | None]]:
    """Return the rules, as (name, columns, on_fail, max_failed_ratio), by which a run's rows were judged and loaded."""
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
        *(r.c.step == "check", r.c.state != RejectState.RESOLVED),
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

"""The quality reports: what the check found in each batch, rule by rule, without values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from statistics import median_high

from sqlalchemy import Engine, and_, delete, select
from sqlalchemy.exc import DBAPIError

from ecw.crm import history
from ecw.crm.engine import reading
from ecw.crm.ledger import LOADED
from ecw.crm.tables import ecw_quality, ecw_run
from ecw.crm.trouble import told
from ecw.crm.upsert import upsert
from ecw.words import Run

PASS, WARN, REJECT, STOP = VERDICTS = ("pass", "warn", "reject", "stop")  # the worst last
VOLUME = "volume"
RUNS = 5  # one bad run among so many does not become what is usual
KEPT_DAYS = 90


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found in a batch; the volume's are records fetched, and how many fewer than usual."""

    rule: str
    column: str
    demand: str
    otherwise: str
    rows: int
    broken: int
    verdict: str
    why: str = ""
    stop_above: float | None = None
    usual: int | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Usual:
    """How many records comparable runs fetch; None where there was none.

    `whole`: the runs saw everything that eCW has. `never_nothing`: of the last runs, how many there were, if each of
    them found something.
    """

    number: int | None
    whole: bool = True
    never_nothing: int = 0


def write(engine: Engine, run: Run, resource: str, findings: Iterable[Finding]) -> None:
    """Put the report of a resource of the run in the place of an earlier one, in a transaction of its own.

    Raises CrmTrouble.
    """
    now = datetime.now(UTC)
    key = {"practice": run["practice"], "run_id": run["run_id"], "resource": resource}
    number = -1
    try:
        with engine.begin() as connection:
            for number, finding in enumerate(findings):
                upsert(connection, ecw_quality, key | {"number": number}, asdict(finding) | {"at": now})
            connection.execute(delete(ecw_quality).filter_by(**key).where(ecw_quality.c.number > number))
            old = ecw_quality.c.at < now - timedelta(days=KEPT_DAYS)
            connection.execute(delete(ecw_quality).filter_by(practice=run["practice"], resource=resource).where(old))
    except DBAPIError as error:
        raise told(error, f"The quality report of {resource}") from None


def usual(engine: Engine, run: Run, resource: str, *, whole: bool) -> Usual:
    """Return how many records the last runs fetched that are comparable and whose rows were loaded: their median.

    Whole runs are compared with whole ones. The others see parts of different size; of them only the scheduled are
    comparable.
    """
    if not whole and run["run_type"] != "scheduled":
        return Usual(None, whole)
    q, r = ecw_quality, ecw_run
    same = and_(q.c.practice == r.c.practice, q.c.run_id == r.c.run_id, q.c.resource == r.c.resource)
    statement = (
        select(q.c.rows)
        .join(r, same)
        .where(
            q.c.practice == run["practice"],
            q.c.resource == resource,
            q.c.rule == VOLUME,
            q.c.scope == ("whole" if whole else "part"),
            q.c.run_id != run["run_id"],
            r.c.state == LOADED,
        )
        .order_by(q.c.at.desc())
        .limit(RUNS)
    )
    if not whole:
        statement = statement.where(r.c.run_type == "scheduled")
    with reading(engine) as connection:
        before = list(connection.scalars(statement))
    if not before:  # runs from before there were reports
        return Usual(history.fetched_before(engine, run, resource) if whole else None, whole)
    return Usual(median_high(before), whole, len(before) if min(before) else 0)

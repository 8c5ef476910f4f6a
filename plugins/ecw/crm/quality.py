"""The quality reports: what the check found in each batch, rule by rule, without values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median_high

from sqlalchemy import Engine, delete

from ecw.crm import comparable
from ecw.crm.engine import reading
from ecw.crm.tables import ecw_quality
from ecw.crm.trouble import working
from ecw.crm.upsert import upsert
from ecw.words import Run

PASS, WARN, REJECT, STOP = VERDICTS = ("pass", "warn", "reject", "stop")  # the worst last
VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found in a batch; the volume's are records that eCW has, and how many fewer than usual."""

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
    """How many records comparable runs find; None where there was none.

    `whole`: the runs saw everything that eCW has. `never_nothing`: of the last runs, how many there were, if each of
    them found something. `alike`: they saw a part, but always one of like size.
    """

    number: int | None
    whole: bool = True
    never_nothing: int = 0
    alike: bool = False


def write(engine: Engine, run: Run, resource: str, findings: Iterable[Finding]) -> None:
    """Put the report of a resource of the run in the place of an earlier one, in a transaction of its own.

    Raises CrmTrouble.
    """
    now = datetime.now(UTC)
    key = {"practice": run["practice"], "run_id": run["run_id"], "resource": resource}
    number = -1
    with working(f"The quality report of {resource}"), engine.begin() as connection:
        for number, finding in enumerate(findings):
            upsert(connection, ecw_quality, key | {"number": number}, asdict(finding) | {"at": now})
        connection.execute(delete(ecw_quality).filter_by(**key).where(ecw_quality.c.number > number))


def usual(
    engine: Engine,
    run: Run,
    resource: str,
    *,
    whole: bool,
    strategy: str | None = None,
    asked: int | None = None,
) -> Usual:
    """Return how many records the last runs found that are comparable and whose rows were loaded: their median.

    Whole runs are compared with whole ones. The others see parts; of them only the scheduled are comparable, with those
    by the same `strategy`, and by the patient where so many were `asked` about one by one.
    """
    if not whole and run["run_type"] != "scheduled":
        return Usual(None, whole)
    with reading(engine) as connection:
        before = comparable.before(connection, run["practice"], resource, run["run_id"], whole=whole, strategy=strategy)
    if not before:
        return Usual(None, whole)
    records = [seen.records for seen in before]
    never_nothing = len(records) if min(records) else 0
    alike = not whole and strategy in comparable.ALIKE and run["window_start"] is not None
    number = comparable.number(before, asked, whole=whole) if whole or alike else None
    if number is None:
        return Usual(median_high(records), whole, never_nothing)
    return Usual(number, whole, never_nothing, alike)

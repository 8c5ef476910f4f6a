"""The results of each expectation in a practice's last checks, the worst first: counts and verdicts, no values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from ecw.crm.db.tables import ecw_quality_result
from ecw.crm.state.quality_results import PASS, VERDICTS, VOLUME
from ecw.resources import RESOURCES

CHECKS = 30  # of each resource, the latest


@dataclass(frozen=True, slots=True)
class Check:
    """The result of an expectation in one check: `rows` were checked, and `failed` of them do not meet it."""

    at: datetime
    run_id: str
    rows: int
    failed: int
    new: int | None
    verdict: str


@dataclass(slots=True)
class Expectation:
    """One expectation of a resource's suite, with its last checks, the oldest first."""

    resource: str
    rule: str
    column: str
    demand: str
    checks: list[Check] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, float, int]:
        """The sort key, higher is worse: the last verdict, the failed share of the last check, the failed checks."""
        last = self.checks[-1]
        share = last.failed / last.rows if last.rows else 0.0
        return VERDICTS.index(last.verdict), share, sum(one.verdict != PASS for one in self.checks)


def history(connection: Connection, practice: str, resources: Sequence[str] = tuple(RESOURCES)) -> list[Expectation]:
    """Return the expectations of each resource's last check with their history, the worst first."""
    expectations: list[Expectation] = []
    for resource in resources:
        expectations += _of_resource(connection, practice, resource)
    return sorted(expectations, key=lambda one: one.rank, reverse=True)


def last_checks(practice: str, resource: str) -> Select[Any]:
    """Return the statement of a resource's last checks: it reads the index ecw_quality_result_at backwards."""
    q = ecw_quality_result.c
    checks = (q.practice == practice, q.resource == resource, q.number == 0)
    return select(q.run_id).where(*checks).order_by(q.at.desc()).limit(CHECKS)


def _of_resource(connection: Connection, practice: str, resource: str) -> list[Expectation]:
    q = ecw_quality_result.c
    run_ids = list(connection.scalars(last_checks(practice, resource)))
    columns = (q.rule, q.column, q.demand, q.at, q.run_id, q.rows, q.broken, q.broken_new, q.verdict)
    in_checks = (q.practice == practice, q.resource == resource, q.run_id.in_(run_ids))
    by_key: dict[tuple[str, str, str], Expectation] = {}
    for rule, column, demand, *check in connection.execute(select(*columns).where(*in_checks).order_by(q.at, q.number)):
        # The demand of the volume rule names the usual number of records, which changes from run to run.
        key = (rule, column, "" if rule == VOLUME else demand)
        by_key.setdefault(key, Expectation(resource, rule, column, demand)).checks.append(Check(*check))
    # An expectation that is missing from the last check was removed from the suite.
    return [one for one in by_key.values() if run_ids and one.checks[-1].run_id == run_ids[0]]

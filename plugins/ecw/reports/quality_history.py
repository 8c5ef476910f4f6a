"""Expectations over the last checks of a practice, the worst first: counts and verdicts, no values."""

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
    """What an expectation found in one check: `rows` were checked, `failed` of them break it."""

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
        """How bad it is: the last verdict, the share that fails it now, in how many checks it failed."""
        last = self.checks[-1]
        share = last.failed / last.rows if last.rows else 0.0
        return VERDICTS.index(last.verdict), share, sum(one.verdict != PASS for one in self.checks)


def history(connection: Connection, practice: str, resources: Sequence[str] = tuple(RESOURCES)) -> list[Expectation]:
    """Return the expectations that the last checks know, the worst first."""
    found: list[Expectation] = []
    for resource in resources:
        found += _of_resource(connection, practice, resource)
    return sorted(found, key=lambda one: one.rank, reverse=True)


def last_checks(practice: str, resource: str) -> Select[Any]:
    """Return the statement of a resource's last checks: it goes backwards along the index ecw_quality_result_at."""
    q = ecw_quality_result.c
    mine = (q.practice == practice, q.resource == resource, q.number == 0)
    return select(q.run_id).where(*mine).order_by(q.at.desc()).limit(CHECKS)


def _of_resource(connection: Connection, practice: str, resource: str) -> list[Expectation]:
    q = ecw_quality_result.c
    run_ids = list(connection.scalars(last_checks(practice, resource)))
    columns = (q.rule, q.column, q.demand, q.at, q.run_id, q.rows, q.broken, q.broken_new, q.verdict)
    mine = (q.practice == practice, q.resource == resource, q.run_id.in_(run_ids))
    known: dict[tuple[str, str, str], Expectation] = {}
    for rule, column, demand, *check in connection.execute(select(*columns).where(*mine).order_by(q.at, q.number)):
        # The volume's demand names the usual number, which moves.
        key = (rule, column, "" if rule == VOLUME else demand)
        known.setdefault(key, Expectation(resource, rule, column, demand)).checks.append(Check(*check))
    # An expectation that the last check does not know any more is no part of the suite.
    return [one for one in known.values() if run_ids and one.checks[-1].run_id == run_ids[0]]

"""Expectations over time, the worst first; the tab Quality of a run shows the report of one run."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from ecw.reports import quality_history
from ecw.reports.quality_history import Check
from ecw.resources import RESOURCES
from ecw.ui.access import READ, Here
from ecw.ui.page import crm
from ecw.ui.query import Resource, known_resource

router = APIRouter(dependencies=[READ])


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation and its results in the last checks, the oldest first."""

    resource: str
    rule: str
    column: str
    demand: str
    checks: list[Check]


@dataclass(frozen=True, slots=True)
class History:
    """The expectations of a practice, the worst first."""

    expectations: list[Expectation]


@router.get("/quality")
def history(here: Here, resource: Resource = "") -> History:
    """Return the expectations with their last checks."""
    name = known_resource(resource)
    with crm(here.crm) as connection:
        expectations = quality_history.history(connection, here.code, [name] if name else list(RESOURCES))
    return History([Expectation(one.resource, one.rule, one.column, one.demand, one.checks) for one in expectations])

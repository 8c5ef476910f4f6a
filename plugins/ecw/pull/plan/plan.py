"""The plan of a run as its folder holds it: how each resource is extracted, and the calls and minutes that it takes."""

from __future__ import annotations

from typing import Any, TypedDict

from ecw.errors import CorruptBatch
from ecw.models import Run
from ecw.settings.pull import Options
from ecw.staging import batch_file, filesystem


class Line(TypedDict):
    """The plan for one resource."""

    strategies: list[str]
    reason: str
    calls: int
    at_least: bool  # the calls depend on records that the first run finds; more than `calls` then
    start: str | None  # where the last run of the resource ended; None: everything
    max_patients: int | None  # a first look patient by patient: so many at most; None: all
    urgent: int | None  # of those whose insurance is fetched in every run, so many at most; None: all


class Plan(TypedDict):
    """The plan for a run, kept in its folder."""

    options: dict[str, Any]
    resources: dict[str, Line]  # the others are not asked for
    covered: dict[str, str]  # resource -> the run of the same backfill that looks at it
    calls: int
    minutes: float


def keep(run: Run, plan: Plan) -> None:
    """Keep a plan in the run's folder."""
    batch_file.write_json(_path(run), plan)


def read(run: Run) -> Plan | None:
    """Return the plan of a run; nobody knows it any more once the folder is gone."""
    found: Plan | None = batch_file.read_json(_path(run))
    return found


def of(run: Run) -> Plan:
    """Return the plan of a run.

    Raises CorruptBatch where it is not in the run's folder.
    """
    found = read(run)
    if found is None:
        raise CorruptBatch(
            f"The plan of the run {run['run_id']} is not in its staging folder.",
            next_step="clear the run's first task; if that does not help, check that all workers share the folder.",
        )
    return found


def options_of(plan: Plan) -> Options:
    """Return the options of the run that has this plan."""
    return Options(**plan["options"])


def _path(run: Run) -> str:
    return filesystem.join(run["staging"], "plan.json")

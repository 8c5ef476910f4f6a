"""The plan of a run, stored in its folder: the strategies of each resource, and the estimated calls and minutes."""

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
    at_least: bool  # True: `calls` is a minimum, because the number of records is not known yet
    start: str | None  # the end of the resource's last run; None: everything
    max_patients: int | None  # per_patient: the most patients that an initial sync queries; None: all
    urgent: int | None  # the most patients with urgent insurance that are queried; None: all


class Plan(TypedDict):
    """The plan for a run, stored in its folder."""

    options: dict[str, Any]
    resources: dict[str, Line]  # only those that the run covers
    covered: dict[str, str]  # resource -> the run of the same backfill that fetches it
    calls: int
    minutes: float


def keep(run: Run, plan: Plan) -> None:
    """Store a plan in the run's folder."""
    batch_file.write_json(_path(run), plan)


def read(run: Run) -> Plan | None:
    """Return the plan of a run, or None if its folder was deleted."""
    plan: Plan | None = batch_file.read_json(_path(run))
    return plan


def of(run: Run) -> Plan:
    """Return the plan of a run.

    Raises CorruptBatch if it is not in the run's folder.
    """
    plan = read(run)
    if plan is None:
        raise CorruptBatch(
            f"The plan of the run {run['run_id']} is not in its staging folder.",
            next_step="clear the run's first task; if that does not help, check that all workers share the folder.",
        )
    return plan


def options_of(plan: Plan) -> Options:
    """Return the options of the run that has this plan."""
    return Options(**plan["options"])


def _path(run: Run) -> str:
    return filesystem.join(run["staging"], "plan.json")

"""Check that the records that a strategy searches by are known: without them, it would return an empty result."""

from __future__ import annotations

from ecw.crm.state import cursors, run_history
from ecw.errors import PrerequisiteMissing
from ecw.models import RunType
from ecw.pull.context import PullContext
from ecw.pull.extract.strategies import STRATEGIES


def require(context: PullContext, resource: str, strategy: str) -> None:
    """Raise PrerequisiteMissing if the resource that a strategy depends on was never pulled, or failed in this run.

    A failure in this run matters only for an initial sync and a backfill, because no later run covers the same window
    again. Another live run uses the known records, and the next run fetches what is new.
    """
    engine, run, depends_on = context.engine, context.run, STRATEGIES[strategy].depends_on
    if not depends_on or (context.plan is not None and depends_on in context.plan["covered"]):
        return
    only_chance = context.line(resource)["start"] is None or run["run_type"] == RunType.BACKFILL
    row = next((row for row in run_history.of_run(engine, run) if row["resource"] == depends_on), None)
    # Not by its state, because a dry run's row stays in the state "dry".
    if row is not None and row["ended_at"] is not None and row["error"] is None:
        return
    if row is not None and only_chance:
        raise PrerequisiteMissing(
            f"{resource} needs the {depends_on} records, and those did not load in this run.",
            next_step=f"fix the error in the log of {depends_on}, then clear its tasks, with those downstream.",
        )
    # A practice may have no such records: a pull that returned none counts as well.
    practice = run["practice"]
    pulled = cursors.get(engine, practice, depends_on) is not None or run_history.loaded_in_backfill(
        engine, practice, depends_on
    )
    if not pulled and (only_chance or not run_history.linked(engine, practice, depends_on)):
        raise PrerequisiteMissing(
            f"{resource} needs the {depends_on} records, and those were never pulled.",
            next_step=f"pull {depends_on} too: trigger again with it beside {resource} under Resources, or add it to "
            "the variable ecw_pull_resources.",
        )

"""Whether the records that a strategy needs are known: without them it would find nothing, and call that everything."""

from __future__ import annotations

from ecw.crm.state import cursors, run_history
from ecw.errors import PrerequisiteMissing
from ecw.pull.context import PullContext
from ecw.pull.extract.strategies import STRATEGIES


def require(context: PullContext, resource: str, strategy: str) -> None:
    """Do not begin a look by records that did not load in this run, or that nobody has ever looked for.

    A later live run needs those who are known; what is new meanwhile comes with them in the next run. A
    first look and a backfill's interval have no later one that would look so far again.

    Raises PrerequisiteMissing.
    """
    engine, run, depends_on = context.engine, context.run, STRATEGIES[strategy].depends_on
    if not depends_on or (context.plan is not None and depends_on in context.plan["covered"]):
        return
    only = context.line(resource)["start"] is None or run["run_type"] == "backfill"
    its = next((row for row in run_history.of_run(engine, run) if row["resource"] == depends_on), None)
    # By its end, because a dry run's row is never anything but dry.
    if its is not None and its["ended_at"] is not None and its["error"] is None:
        return
    if its is not None and only:
        raise PrerequisiteMissing(
            f"{resource} needs the {depends_on} records, and those did not load in this run.",
            next_step=f"fix what the log of {depends_on} says, then clear its tasks, with those downstream.",
        )
    # A practice may have none of them: what was pulled and found empty is known.
    practice = run["practice"]
    looked = cursors.get(engine, practice, depends_on) is not None or run_history.loaded_in_backfill(
        engine, practice, depends_on
    )
    if not looked and (only or not run_history.linked(engine, practice, depends_on)):
        raise PrerequisiteMissing(
            f"{resource} needs the {depends_on} records, and those were never pulled.",
            next_step=f"pull {depends_on} too: trigger again with it beside {resource} under Resources, or add it to "
            "the variable ecw_pull_resources.",
        )

"""Begin a run: its window, its folder, its plan, its rows in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.crm.state import backfill_claims, practices, runs
from ecw.errors import ConfigurationError, SnapshotPending
from ecw.models import PullRequest, Run
from ecw.practice.client import client_for
from ecw.practice.mappings import mappings_of
from ecw.practice.preflight import require_ready
from ecw.pull.extract.strategies import STRATEGIES
from ecw.pull.plan import plan
from ecw.pull.plan.capabilities import abilities, keep
from ecw.pull.plan.new_run import new_run
from ecw.pull.plan.resolve_patients import ecw_ids, require_practitioners
from ecw.pull.plan.select_strategy import Choice, choose
from ecw.pull.plan.validate_request import settled, window_of
from ecw.pull.plan.window import window
from ecw.resources import RESOURCES
from ecw.settings import connections, schedule
from ecw.settings.practices import of_connection
from ecw.settings.pull import Options, require_within
from ecw.staging import batch_file, location

log = logging.getLogger(__name__)


def open_run(engine: Engine, request: PullRequest, goes_on: Callable[[str], bool] | None = None) -> Run:
    """Do what steps.begin says; nothing is in the ledger before everything that can be refused was checked."""
    now, options = datetime.now(UTC), request.options
    run_type, ecw_conn_id = request.run_type, request.ecw_conn_id
    practice_settings = of_connection(ecw_conn_id)
    gaps = schedule.gaps(schedule.cron(practice_settings))
    every = {"every_minutes": max(1, round(gaps.shortest.total_seconds() / 60))}
    by_connection, form = connections.get(ecw_conn_id).extra_dejson.get("pull"), Options.read(options)
    require_within(by_connection, form)
    wanted = Options.read(every, by_connection, options)
    wanted = settled(wanted, form, run_type, schedule.resources(practice_settings), now=now)
    with reading(engine) as connection:
        require_ready(connection, ecw_conn_id, RESOURCES, wanted.resources)
    run = new_run(engine, request, wanted.mode)
    practice = run["practice"]
    client = client_for(ecw_conn_id, run_type, engine)
    if wanted.patients:
        mapping = next(mappings_of(ecw_conn_id, ["patient"]))
        wanted = replace(
            wanted,
            ids={"patient": ecw_ids(engine, client, mapping, wanted.patients, numbers=wanted.mr_numbers)},
            patients=[],
        )
    require_practitioners(engine, client, wanted.practitioners)
    start, end = window(engine, practice, run_type, request.window_start, request.window_end, wanted.resources)
    if wanted.own_window or wanted.practitioners:
        start, end = window_of(wanted, now)
    run["window_start"], run["window_end"] = start, end
    log.info("Practice %s, from %s to %s.", practice, start or "the beginning", end)
    if wanted.dry_run:
        log.info("This is a dry run: nothing is written but its own row in the ledger and its quality report.")
    if wanted.few or wanted.dry_run or run_type == "backfill":
        goes_on = None  # beside other runs; of those that look at everything two would fetch the same
    if goes_on is not None:
        # What an earlier try left: of two runs that are cleared at once each would wait for the other's.
        runs.give_back(engine, run)
        with reading(engine) as connection:
            runs.require_alone(connection, run, goes_on)
    batch_file.open_folder(run["staging"])
    server = abilities(client, location.staging_root(request.staging))
    keep(run, server)
    choices = {name: choose(RESOURCES[name], server, wanted) for name in wanted.resources}
    _require_dates(wanted, choices)
    covered = _share(engine, run, choices, wanted)
    try:
        plan.make(engine, run, choices, covered, wanted, client.settings.calls_per_minute)
    except BaseException as error:
        for name in choices if run_type == "backfill" and not wanted.dry_run else ():
            if name not in covered:
                runs.fail(engine, run, name, error)  # what was claimed is given back
        raise
    strategies = {name: choice.strategies[0] for name, choice in choices.items() if name not in covered}
    state = runs.DRY if wanted.dry_run else runs.RUNNING
    if not wanted.dry_run:
        with engine.begin() as connection:
            practices.claim(connection, practice, client.base_url)
    runs.begin(engine, run, strategies, strategies=strategies, state=state, goes_on=goes_on)
    return run


def _require_dates(options: Options, choices: Mapping[str, Choice]) -> None:
    if options.own_window and not any(STRATEGIES[choice.strategies[0]].dated for choice in choices.values()):
        raise ConfigurationError(
            f"The form is refused: no search of {', '.join(choices)} takes dates, so From and Until change nothing.",
            next_step="empty From and Until, or add encounter to the resources, and trigger again.",
        )


def _share(engine: Engine, run: Run, choices: Mapping[str, Choice], options: Options) -> dict[str, str]:
    """Return which resources another run of the same backfill looks at.

    Raises SnapshotPending while the practitioners are still fetched by whom this run needs to ask for their schedules.
    """
    if run["run_type"] != "backfill" or options.dry_run:
        return {}
    undated = [name for name, choice in choices.items() if not STRATEGIES[choice.strategies[0]].dated]
    taken = backfill_claims.claim(engine, run, undated, full=options.full)
    first = taken.get("practitioner")
    if first and not first.loaded and any(choice.strategies[0] == "schedule" for choice in choices.values()):
        error = SnapshotPending(
            f"The run {first.run_id} of this backfill is still fetching the practitioners, whose schedules this one "
            "looks at.",
            next_step="wait: it is tried again every minute, and goes on when they are loaded or that run has ended.",
        )
        # Not failed: it may be covered when the run goes on, and learns so then.
        backfill_claims.unclaim(engine, run, [name for name in undated if name not in taken])
        raise error
    return {name: holder.run_id for name, holder in taken.items()}

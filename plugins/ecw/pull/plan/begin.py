"""Begin a run: its window, its folder, its plan, its rows in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.crm.state import backfill_claims, practices, runs
from ecw.errors import ConfigurationError, SnapshotPending
from ecw.models import PullRequest, Run
from ecw.practice.client import client_for
from ecw.practice.mappings import PracticeMappings
from ecw.practice.preflight import require_ready
from ecw.pull.context import PullContext
from ecw.pull.extract.strategies import STRATEGIES
from ecw.pull.plan.capabilities import read_server
from ecw.pull.plan.make_plan import make
from ecw.pull.plan.new_run import new_run
from ecw.pull.plan.resolve_patients import ecw_ids, require_practitioners
from ecw.pull.plan.select_strategy import Choice, choose
from ecw.pull.plan.validate_request import settled, window_of
from ecw.pull.plan.window import window
from ecw.resources import RESOURCES
from ecw.settings import connections, schedule
from ecw.settings.pull import Options, require_within
from ecw.staging import batch_file

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient

log = logging.getLogger(__name__)


def open_run(engine: Engine, request: PullRequest, goes_on: Callable[[str], bool] | None = None) -> Run:
    """Do what steps.begin says; nothing is in the ledger before everything that can be refused was checked."""
    now, read = datetime.now(UTC), PracticeMappings(connections.get(request.ecw_conn_id))
    options = _options(request, read, now)
    with reading(engine) as connection:
        require_ready(connection, read, RESOURCES, options.resources)
    run = new_run(engine, request, read.connection, options.mode)
    client = client_for(read.connection, request.run_type, engine)
    options = _with_ids(engine, client, read, options)
    run["window_start"], run["window_end"] = _window(engine, request, run["practice"], options, now)
    log.info("Practice %s, from %s to %s.", run["practice"], run["window_start"] or "the beginning", run["window_end"])
    if options.dry_run:
        log.info("This is a dry run: nothing is written but its own row in the ledger and its quality report.")
    if options.few or options.dry_run or run["run_type"] == "backfill":
        goes_on = None  # beside other runs; of those that look at everything two would fetch the same
    if goes_on is not None:
        _require_alone(engine, run, goes_on)
    batch_file.open_folder(run["staging"])
    server = read_server(run, client)
    choices = {name: choose(RESOURCES[name], server, options) for name in options.resources}
    _require_dates(options, choices)
    strategies = _plan(PullContext(run, engine, options, read), choices, client.settings.calls_per_minute)
    if not options.dry_run:
        with engine.begin() as connection:
            practices.claim(connection, client.practice, client.base_url)
    state = runs.DRY if options.dry_run else runs.RUNNING
    runs.begin(engine, run, strategies, strategies=strategies, state=state, goes_on=goes_on)
    return run


def _options(request: PullRequest, read: PracticeMappings, now: datetime) -> Options:
    """Return the options of the run: the schedule's, the connection's over them, the form's over both."""
    gaps = schedule.gaps(schedule.cron(read.practice))
    every = {"every_minutes": max(1, round(gaps.shortest.total_seconds() / 60))}
    by_connection, form = read.connection.extra_dejson.get("pull"), Options.read(request.options)
    require_within(by_connection, form)
    wanted = Options.read(every, by_connection, request.options)
    return settled(wanted, form, request.run_type, schedule.resources(read.practice), now=now)


def _with_ids(engine: Engine, client: EcwClient, read: PracticeMappings, options: Options) -> Options:
    """Return the options with the eCW ids of the patients whom the form means.

    Raises ConfigurationError where an entry means nobody or several, or a practitioner is not one.
    """
    if options.patients:
        ids = ecw_ids(engine, client, read.of("patient"), options.patients, numbers=options.mr_numbers)
        options = replace(options, ids={"patient": ids}, patients=[])
    require_practitioners(engine, client, options.practitioners)
    return options


def _require_alone(engine: Engine, run: Run, goes_on: Callable[[str], bool]) -> None:
    # What an earlier try left: of two runs that are cleared at once each would wait for the other's.
    runs.give_back(engine, run)
    with reading(engine) as connection:
        runs.require_alone(connection, run, goes_on)


def _window(
    engine: Engine, request: PullRequest, practice: str, options: Options, now: datetime
) -> tuple[str | None, str]:
    if options.own_window or options.practitioners:
        return window_of(options, now)
    bounds = (request.window_start, request.window_end)
    return window(engine, practice, request.run_type, *bounds, options.resources)


def _plan(context: PullContext, choices: Mapping[str, Choice], calls_per_minute: int) -> dict[str, str]:
    """Plan the run; return the strategies of its resources, without those that another run of its backfill looks at."""
    run, options = context.run, context.options
    covered = _share(context.engine, run, choices, options)
    own = {name: choice.strategies[0] for name, choice in choices.items() if name not in covered}
    try:
        make(context, choices, covered, calls_per_minute)
    except BaseException as error:
        for name in own if run["run_type"] == "backfill" and not options.dry_run else ():
            runs.fail(context.engine, run, name, error)  # what was claimed is given back
        raise
    return own


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

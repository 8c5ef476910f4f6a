"""Begin a run: its window, its folder, its plan, its rows in ecw_run."""

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
from ecw.models import PullRequest, Run, RunType
from ecw.practice.client import client_for
from ecw.practice.mappings import PracticeMappings
from ecw.practice.preflight import require_ready
from ecw.pull.capabilities import read_server
from ecw.pull.context import PullContext
from ecw.pull.extract.strategies import STRATEGIES
from ecw.pull.plan.make_plan import make
from ecw.pull.plan.new_run import new_run
from ecw.pull.plan.resolve_patients import ecw_ids, require_practitioners
from ecw.pull.plan.select_strategy import Choice, choose
from ecw.pull.plan.validate_request import settled, window_of
from ecw.pull.plan.window import window
from ecw.resources import RESOURCES, StrategyName
from ecw.settings import connections, schedule
from ecw.settings.pull import Options, require_within
from ecw.staging import batch_file

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient

log = logging.getLogger(__name__)


def open_run(engine: Engine, request: PullRequest, is_running: Callable[[str], bool] | None = None) -> Run:
    """Begin a run as `ecw.pull.steps.begin` describes; ecw_run gets its rows only after all checks have passed."""
    now, mappings = datetime.now(UTC), PracticeMappings(connections.get(request.ecw_conn_id))
    options = _options(request, mappings, now)
    with reading(engine) as connection:
        require_ready(connection, mappings, RESOURCES, options.resources)
    run = new_run(engine, request, mappings.connection, options.mode)
    client = client_for(mappings.connection, request.run_type, engine)
    options = _with_ids(engine, client, mappings, options)
    run["window_start"], run["window_end"] = _window(engine, request, run["practice"], options, now)
    log.info("Practice %s, from %s to %s.", run["practice"], run["window_start"] or "the beginning", run["window_end"])
    if options.dry_run:
        log.info("This is a dry run: it writes only its own row in ecw_run and its quality report.")
    if options.few or options.dry_run or run["run_type"] == RunType.BACKFILL:
        is_running = None  # such a run never waits; two full runs at once would fetch the same records
    if is_running is not None:
        _require_alone(engine, run, is_running)
    batch_file.open_folder(run["staging"])
    server = read_server(run, client)
    choices = {name: choose(RESOURCES[name], server, options) for name in options.resources}
    _require_dates(options, choices)
    strategies = _plan(PullContext(run, engine, options, mappings), choices, client.settings.calls_per_minute)
    if not options.dry_run:
        with engine.begin() as connection:
            practices.claim(connection, client.practice, client.base_url)
    state = runs.DRY if options.dry_run else runs.RUNNING
    runs.begin(engine, run, strategies, strategies=strategies, state=state, goes_on=is_running)
    return run


def _options(request: PullRequest, mappings: PracticeMappings, now: datetime) -> Options:
    """Return the options of the run; the connection overrides the schedule, and the form overrides both."""
    gaps = schedule.gaps(schedule.cron(mappings.practice))
    every = {"every_minutes": max(1, round(gaps.shortest.total_seconds() / 60))}
    by_connection, form = mappings.connection.extra_dejson.get("pull"), Options.read(request.options)
    require_within(by_connection, form)
    options = Options.read(every, by_connection, request.options)
    return settled(options, form, request.run_type, schedule.resources(mappings.practice), now=now)


def _with_ids(engine: Engine, client: EcwClient, mappings: PracticeMappings, options: Options) -> Options:
    """Return the options with the eCW ids of the patients that the form names.

    Raises ConfigurationError if an entry matches no patient or several, or is not a practitioner's id.
    """
    if options.patients:
        ids = ecw_ids(engine, client, mappings.of("patient"), options.patients, numbers=options.mr_numbers)
        options = replace(options, ids={"patient": ids}, patients=[])
    require_practitioners(engine, client, options.practitioners)
    return options


def _require_alone(engine: Engine, run: Run, is_running: Callable[[str], bool]) -> None:
    # Close the rows of this run's earlier try: two runs that are cleared at once would wait for each other's rows.
    runs.give_back(engine, run)
    with reading(engine) as connection:
        runs.require_alone(connection, run, is_running)


def _window(
    engine: Engine, request: PullRequest, practice: str, options: Options, now: datetime
) -> tuple[str | None, str]:
    if options.own_window or options.practitioners:
        return window_of(options, now)
    bounds = (request.window_start, request.window_end)
    return window(engine, practice, request.run_type, *bounds, options.resources)


def _plan(context: PullContext, choices: Mapping[str, Choice], calls_per_minute: int) -> dict[str, str]:
    """Plan the run; return the strategies of its resources, without those that another run of its backfill fetches."""
    run, options = context.run, context.options
    covered = _share(context.engine, run, choices, options)
    own = {name: choice.strategies[0] for name, choice in choices.items() if name not in covered}
    try:
        make(context, choices, covered, calls_per_minute)
    except BaseException as error:
        for name in own if run["run_type"] == RunType.BACKFILL and not options.dry_run else ():
            runs.fail(context.engine, run, name, error)  # releases the claim
        raise
    return own


def _require_dates(options: Options, choices: Mapping[str, Choice]) -> None:
    if options.own_window and not any(STRATEGIES[choice.strategies[0]].dated for choice in choices.values()):
        raise ConfigurationError(
            f"The form is refused: no search of {', '.join(choices)} takes dates, so From and Until have no effect.",
            next_step="empty From and Until, or add encounter to the resources, and trigger again.",
        )


def _share(engine: Engine, run: Run, choices: Mapping[str, Choice], options: Options) -> dict[str, str]:
    """Return the resources that another run of the same backfill fetches, with the id of that run.

    Raises SnapshotPending while another run still fetches the practitioners whose schedules this run needs.
    """
    if run["run_type"] != RunType.BACKFILL or options.dry_run:
        return {}
    undated = [name for name, choice in choices.items() if not STRATEGIES[choice.strategies[0]].dated]
    taken = backfill_claims.claim(engine, run, undated, full=options.full)
    first = taken.get("practitioner")
    if first and not first.loaded and any(choice.strategies[0] == StrategyName.SCHEDULE for choice in choices.values()):
        error = SnapshotPending(
            f"The run {first.run_id} of this backfill is still fetching the practitioners whose schedules this run "
            "needs.",
            next_step="wait: this run checks again by itself, and goes on when they are loaded or that run has ended.",
        )
        # Release the claims without failing: another run may cover these resources by the time this run goes on.
        backfill_claims.unclaim(engine, run, [name for name in undated if name not in taken])
        raise error
    return {name: holder.run_id for name, holder in taken.items()}

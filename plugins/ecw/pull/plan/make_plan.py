"""Plan a run before it starts: the strategies of its resources, and estimates of its calls and minutes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from ecw.crm.state import run_history
from ecw.errors import PlanExceedsInterval
from ecw.models import Run, RunType
from ecw.pull import run_plan
from ecw.pull.context import PullContext
from ecw.pull.extract import urgency
from ecw.pull.extract.rotation import longest_turn, share_due, since_turns, turns_due
from ecw.pull.extract.strategies import STRATEGIES
from ecw.pull.plan.select_strategy import Choice
from ecw.pull.plan.window import own_window, start_of
from ecw.pull.run_plan import Line, Plan
from ecw.resources import RESOURCES, Resource, StrategyName
from ecw.settings.pull import Options

PAGE = 100  # records on a page; eCW's size is not known
COPIES = 2.2  # a name sweep returns a patient by family name, by first name, sometimes by an old name
READ_SECONDS = 3.5  # of one call; recorded traffic shows 2 to 5
URGENT_SHARE = 0.5  # the largest share of a run's calls for patients with urgent insurance
log = logging.getLogger(__name__)


def make(context: PullContext, choices: Mapping[str, Choice], covered: Mapping[str, str], rate: int) -> Plan:
    """Plan a run that begins, log the plan, and store it in the run's folder.

    `choices` are the strategies of its resources. `covered` are the resources that another run of the same backfill
    fetches, with the id of that run. `rate` is the practice's calls a minute.

    Raises PlanExceedsInterval if the run would not end before the next one begins.
    """
    run, options = context.run, context.options
    possible = min(rate, options.max_concurrency * 60 / READ_SECONDS)
    for name, run_id in covered.items():
        log.info("%s: fetched once a backfill, by the run %s.", name, run_id)
    chosen = ((RESOURCES[name], choice) for name, choice in choices.items() if name not in covered)
    lines = {resource.name: _line(context, resource, choice, possible) for resource, choice in chosen}
    # A backfill uses the calls that other runs leave, and has no time limit.
    no_limit = options.ignore_time_budget or run["run_type"] == RunType.BACKFILL
    if not (options.few or options.full or no_limit):
        _shorten_turns(run, lines, possible * options.every_minutes, options)
    total = sum(line["calls"] for line in lines.values())
    minutes = round(total / possible, 1)
    result = Plan(options=asdict(options), resources=lines, covered=dict(covered), calls=total, minutes=minutes)
    if any(line["at_least"] for line in lines.values()):
        log.info("The run needs %d calls or more; its duration is not known yet.", total)
    else:
        log.info("The run needs about %d calls, %.0f minutes.", total, minutes)
    if minutes > options.every_minutes and not no_limit:
        largest = max(lines, key=lambda name: lines[name]["calls"])
        raise PlanExceedsInterval(
            f"The run needs about {minutes:.0f} minutes ({total} calls at {possible:.0f} a minute), and the next "
            f"one begins after {options.every_minutes}. The largest part is {largest}: {lines[largest]['calls']} calls "
            f"by {lines[largest]['strategies'][0]}.",
            next_step="trigger one run by hand with the option ignore_time_budget, or raise full_cycle_hours, or "
            f"choose another strategy for {largest} (a bulk export needs about ten calls).",
        )
    run_plan.keep(run, result)
    return result


def _line(context: PullContext, resource: Resource, choice: Choice, possible: float) -> Line:
    """Return the plan for one resource, and log it; `possible` is the number of calls that fit into a minute."""
    run, options, name = context.run, context.options, resource.name
    strategies, reason = choice
    one_by_one = strategies[0] == StrategyName.PER_PATIENT
    start = _start(context, name, strategies[0])
    resource_run = own_window(run, start)
    calls = estimate(replace(context, run=resource_run), resource, strategies[0])
    unknown = _unknown(context, resource, strategies[0])
    max_patients = _max_patients(run, strategies, start, possible, options)
    urgent = None
    if name == urgency.RESOURCE and one_by_one and not options.few:
        all_urgent = sum(len(group) for group in urgency.urgent(context).values())
        urgent = min(all_urgent, max(1, int(possible * options.every_minutes * URGENT_SHARE)))
        calls += _urgent_not_due(urgent, resource_run, options)
        if urgent < all_urgent:
            log.warning("%s: the calls suffice for the %d most urgent of %d patients.", name, urgent, all_urgent)
    capped = max_patients if one_by_one else None
    calls = calls if capped is None else min(calls, capped)
    how_many = f"about {calls} calls" if unknown is None else f"{calls} calls or more: {unknown}"
    log.info("%s: strategy %s (%s), %s.", name, strategies[0], reason, how_many)
    if capped is not None:
        log.info("%s: the initial sync queries at most %d patients in this run, the last changed first.", name, capped)
    if one_by_one and not options.few and run["run_type"] != RunType.BACKFILL:
        log.info("%s: every patient is queried within %g hours.", name, longest_turn(options))
    return Line(
        strategies=[str(each) for each in strategies],
        reason=reason,
        calls=calls,
        at_least=unknown is not None,
        start=start,
        max_patients=max_patients,
        urgent=urgent,
    )


def _start(context: PullContext, resource: str, strategy: str) -> str | None:
    """Return the start of a resource's window; None: everything."""
    run, options = context.run, context.options
    if run["run_type"] == RunType.BACKFILL:
        return run["window_start"] if STRATEGIES[strategy].dated else None
    return run["window_start"] if options.own_window or options.few else start_of(context.engine, run, resource)


def _max_patients(
    run: Run, strategies: Sequence[str], start: str | None, possible: float, options: Options
) -> int | None:
    """Return the most patients that an initial sync may query in this run, None for another run.

    Without a limit, an initial sync could need a day's calls. The limit also holds if `per_patient` is only the
    strategy that follows when eCW refuses another one.
    """
    if StrategyName.PER_PATIENT not in strategies or start is not None or run["run_type"] == RunType.BACKFILL:
        return None
    if options.few or options.full or options.own_window or options.ignore_time_budget:
        return None
    return max(1, round(options.initial_sync_minutes * possible))


def _shorten_turns(run: Run, lines: dict[str, Line], budget: float, options: Options) -> None:
    """Limit the turns of resources with the strategy `per_patient` to the calls that the run can make.

    More turns are due mostly after an outage; the turns that are left out come again with the next runs.
    """
    per_patient = {name: line for name, line in lines.items() if line["strategies"][0] == StrategyName.PER_PATIENT}
    left = budget - sum(line["calls"] for name, line in lines.items() if name not in per_patient)
    for name, line in per_patient.items():
        resource_run, urgent = own_window(run, line["start"]), line["urgent"] or 0
        due = turns_due(resource_run, options)
        calls_of_turns = line["calls"] - _urgent_not_due(urgent, resource_run, options)
        possible = int(due * (left / len(per_patient) - urgent) / calls_of_turns) if calls_of_turns else due
        if line["start"] is None or not 0 < possible < due:
            continue
        line["start"] = since_turns(run, options, possible)
        calls_of_urgent = _urgent_not_due(urgent, own_window(run, line["start"]), options)
        line["calls"] = calls_of_urgent + round(calls_of_turns * possible / due)
        log.warning(
            "%s: the run's calls suffice for %d of %d turns that are due; the others follow within %g hours.",
            *(name, possible, due, longest_turn(options)),
        )


def _urgent_not_due(urgent: int, run: Run, options: Options) -> int:
    """Return the estimated number of urgent patients who are not due anyway."""
    return round(urgent * (1 - share_due(run, options)))


def estimate(context: PullContext, resource: Resource, strategy: str) -> int:
    """Return the estimated calls of a resource, from the last run and the links; on a first run, the minimum."""
    engine, run, options = context.engine, context.run, context.options
    linked = run_history.linked(engine, run["practice"], resource.name)
    match strategy:
        case StrategyName.SCHEDULE if options.practitioners:
            return len(options.practitioners)
        case StrategyName.OF_SCHEDULE:
            return 0
        case StrategyName.BY_ID:
            return len(options.ids[resource.name])
        case StrategyName.BULK:
            return 10 + linked // 100_000
        case StrategyName.PER_PATIENT:
            if chosen := options.ids.get("patient"):
                return len(chosen)
            if options.practitioners:
                return 0
            return round(run_history.linked(engine, run["practice"], "patient") * share_due(run, options))
    before = run_history.calls_before(engine, run["practice"], resource.name)
    if before is not None:
        return before
    match strategy:
        case StrategyName.NAME_SWEEP:
            return max(len(options.letters), round(linked * COPIES / PAGE))
        case StrategyName.SCHEDULE:
            return max(run_history.linked(engine, run["practice"], "practitioner"), 1)
    return 1 + linked // PAGE


def _unknown(context: PullContext, resource: Resource, strategy: str) -> str | None:
    """Return the reason why the calls of a resource cannot be estimated yet, or None if they can."""
    engine, run, options = context.engine, context.run, context.options
    if options.practitioners and strategy != StrategyName.SCHEDULE:
        return "they depend on the appointments found"
    if options.few or strategy == StrategyName.BULK:
        return None
    source = RESOURCES[STRATEGIES[strategy].depends_on or resource.name]
    practice = run["practice"]
    if (
        run_history.linked(engine, practice, source.name)
        or run_history.calls_before(engine, practice, source.name) is not None
    ):
        return None
    return f"the number of {source.fhir_type} records is not known yet"

"""What a run is going to do, estimated before it does it: strategies, calls and minutes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from ecw.crm.state import run_history
from ecw.errors import PlanExceedsInterval
from ecw.models import Run
from ecw.pull.context import PullContext
from ecw.pull.extract import urgency
from ecw.pull.extract.rotation import longest_turn, share_due, since_turns, turns_due
from ecw.pull.extract.strategies import STRATEGIES
from ecw.pull.plan import plan
from ecw.pull.plan.plan import Line, Plan
from ecw.pull.plan.select_strategy import Choice
from ecw.pull.plan.window import own_window, start_of
from ecw.resources import RESOURCES, Resource
from ecw.settings.pull import Options

PAGE = 100  # records on a page; eCW's size is not known
COPIES = 2.2  # a name sweep finds a patient by family name, by first name, sometimes by an old name
READ_SECONDS = 3.5  # seen in recorded traffic: 2 to 5
URGENT_SHARE = 0.5  # of a run's calls, for those whose insurance is fetched in every run
log = logging.getLogger(__name__)


def make(context: PullContext, choices: Mapping[str, Choice], covered: Mapping[str, str], rate: int) -> Plan:
    """Plan a run that begins, log the plan, and keep it in the run's folder.

    `choices` are how its resources are extracted, `covered` are those that another run of the backfill looks at,
    `rate` is the practice's calls a minute.

    Raises PlanExceedsInterval where it cannot be done before the next run begins.
    """
    run, options = context.run, context.options
    possible = min(rate, options.max_concurrency * 60 / READ_SECONDS)
    for name, run_id in covered.items():
        log.info("%s: fetched once a backfill, by the run %s.", name, run_id)
    chosen = ((RESOURCES[name], choice) for name, choice in choices.items() if name not in covered)
    lines = {resource.name: _line(context, resource, choice, possible) for resource, choice in chosen}
    # A backfill takes what the others leave of the calls, for as long as it takes.
    unhurried = options.ignore_time_budget or run["run_type"] == "backfill"
    if not (options.few or options.full or unhurried):
        _shorten_turns(run, lines, possible * options.every_minutes, options)
    total = sum(line["calls"] for line in lines.values())
    minutes = round(total / possible, 1)
    made = Plan(options=asdict(options), resources=lines, covered=dict(covered), calls=total, minutes=minutes)
    if any(line["at_least"] for line in lines.values()):
        log.info("The run needs %d calls or more; how long it takes is not known yet.", total)
    else:
        log.info("The run needs about %d calls, %.0f minutes.", total, minutes)
    if minutes > options.every_minutes and not unhurried:
        largest = max(lines, key=lambda name: lines[name]["calls"])
        raise PlanExceedsInterval(
            f"The run needs about {minutes:.0f} minutes ({total} calls at {possible:.0f} a minute), and the next "
            f"one begins after {options.every_minutes}. The largest part is {largest}: {lines[largest]['calls']} calls "
            f"by {lines[largest]['strategies'][0]}.",
            next_step="trigger one run by hand with the option ignore_time_budget, or raise full_cycle_hours, "
            "or choose "
            f"another strategy for {largest} (a bulk export needs a handful of calls).",
        )
    plan.keep(run, made)
    return made


def _line(context: PullContext, resource: Resource, choice: Choice, possible: float) -> Line:
    """Return the plan for one resource, and log it; `possible` calls a minute can be made."""
    run, options, name = context.run, context.options, resource.name
    strategies, reason = choice
    one_by_one = strategies[0] == "per_patient"
    start = _start(context, name, strategies[0])
    its_run = own_window(run, start)
    calls = estimate(replace(context, run=its_run), resource, strategies[0])
    unknown = _unknown(context, resource, strategies[0])
    max_patients = _most(run, strategies, start, possible, options)
    urgent = None
    if name == urgency.RESOURCE and one_by_one and not options.few:
        coming = sum(len(group) for group in urgency.urgent(context).values())
        urgent = min(coming, max(1, int(possible * options.every_minutes * URGENT_SHARE)))
        calls += _besides(urgent, its_run, options)
        if urgent < coming:
            log.warning("%s: the calls suffice for the %d most urgent of %d patients.", name, urgent, coming)
    capped = max_patients if one_by_one else None
    calls = calls if capped is None else min(calls, capped)
    how_many = f"about {calls} calls" if unknown is None else f"{calls} calls or more: {unknown}"
    log.info("%s: strategy %s (%s), %s.", name, strategies[0], reason, how_many)
    if capped is not None:
        log.info("%s: the first look asks about %d patients at most, those changed last first.", name, capped)
    if one_by_one and not options.few and run["run_type"] != "backfill":
        log.info("%s: every patient's is fetched within %g hours.", name, longest_turn(options))
    return Line(
        strategies=list(strategies),
        reason=reason,
        calls=calls,
        at_least=unknown is not None,
        start=start,
        max_patients=max_patients,
        urgent=urgent,
    )


def _start(context: PullContext, resource: str, strategy: str) -> str | None:
    """Return where the window of a resource begins; None: everything."""
    run, options = context.run, context.options
    if run["run_type"] == "backfill":
        return run["window_start"] if STRATEGIES[strategy].dated else None
    return run["window_start"] if options.own_window or options.few else start_of(context.engine, run, resource)


def _most(run: Run, strategies: Sequence[str], start: str | None, possible: float, options: Options) -> int | None:
    """Return how many patients a first look may ask about, None where it is none: nobody waits for a day's calls.

    Also where it asks so only after eCW has refused another search.
    """
    if "per_patient" not in strategies or start is not None or run["run_type"] == "backfill":
        return None
    if options.few or options.full or options.own_window or options.ignore_time_budget:
        return None
    return max(1, round(options.initial_sync_minutes * possible))


def _shorten_turns(run: Run, lines: dict[str, Line], budget: float, options: Options) -> None:
    """Let a resource that asks patient by patient take no more turns than the run's calls suffice for.

    The turns that are left out, an outage's mostly, come round again with the next runs.
    """
    asking = {name: line for name, line in lines.items() if line["strategies"][0] == "per_patient"}
    left = budget - sum(line["calls"] for name, line in lines.items() if name not in asking)
    for name, line in asking.items():
        its_run, urgent = own_window(run, line["start"]), line["urgent"] or 0
        due = turns_due(its_run, options)
        turns = line["calls"] - _besides(urgent, its_run, options)
        possible = int(due * (left / len(asking) - urgent) / turns) if turns else due
        if line["start"] is None or not 0 < possible < due:
            continue
        line["start"] = since_turns(run, options, possible)
        besides = _besides(urgent, own_window(run, line["start"]), options)
        line["calls"] = besides + round(turns * possible / due)
        log.warning(
            "%s: the run's calls suffice for %d of %d turns that are due; the others come round within %g hours.",
            *(name, possible, due, longest_turn(options)),
        )


def _besides(urgent: int, run: Run, options: Options) -> int:
    """Return about how many of the urgent are asked about besides those who are due."""
    return round(urgent * (1 - share_due(run, options)))


def estimate(context: PullContext, resource: Resource, strategy: str) -> int:
    """Return about how many calls a resource takes, by the last run and the links; on a first run, the least."""
    engine, run, options = context.engine, context.run, context.options
    linked = run_history.linked(engine, run["practice"], resource.name)
    match strategy:
        case "schedule" if options.practitioners:
            return len(options.practitioners)
        case "of_schedule":
            return 0
        case "by_id":
            return len(options.ids[resource.name])
        case "bulk":
            return 10 + linked // 100_000
        case "per_patient":
            if asked := options.ids.get("patient"):
                return len(asked)
            if options.practitioners:
                return 0
            return round(run_history.linked(engine, run["practice"], "patient") * share_due(run, options))
    before = run_history.calls_before(engine, run["practice"], resource.name)
    if before is not None:
        return before
    match strategy:
        case "name_sweep":
            return max(len(options.letters), round(linked * COPIES / PAGE))
        case "schedule":
            return max(run_history.linked(engine, run["practice"], "practitioner"), 1)
    return 1 + linked // PAGE


def _unknown(context: PullContext, resource: Resource, strategy: str) -> str | None:
    """Say why nobody can know yet how many calls a resource takes; None where it is known."""
    engine, run, options = context.engine, context.run, context.options
    if options.practitioners and strategy != "schedule":
        return "they depend on the appointments found"
    if options.few or strategy == "bulk":
        return None
    roster = RESOURCES[STRATEGIES[strategy].depends_on or resource.name]
    practice = run["practice"]
    if (
        run_history.linked(engine, practice, roster.name)
        or run_history.calls_before(engine, practice, roster.name) is not None
    ):
        return None
    return f"the number of {roster.fhir_type} records is not known yet"

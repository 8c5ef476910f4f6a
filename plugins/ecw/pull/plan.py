"""What a run is going to do, estimated before it does it: strategies, calls and minutes."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, TypedDict

from sqlalchemy import Engine

from ecw.api.capability import Capability
from ecw.crm import history
from ecw.errors import BatchDamaged, PlanTooLong
from ecw.pull import staging, store
from ecw.pull.choose import choose
from ecw.pull.options import Options
from ecw.pull.strategies import share_due
from ecw.pull.window import start_of
from ecw.resources import RESOURCES, Resource
from ecw.words import Run

PAGE = 100  # records on a page; eCW's size is not known
COPIES = 2.2  # a name sweep finds a patient by family name, by first name, sometimes by an old name
READ_SECONDS = 3.5  # seen in recorded traffic: 2 to 5
log = logging.getLogger(__name__)


class Line(TypedDict):
    """The plan for one resource."""

    strategies: list[str]
    reason: str
    calls: int
    start: str | None  # where the last run of the resource ended; None: everything


class Plan(TypedDict):
    """The plan for a run, kept in its folder."""

    options: dict[str, Any]
    resources: dict[str, Line]
    calls: int
    minutes: float


def make(engine: Engine, run: Run, capability: Capability, options: Options, calls_per_minute: int) -> Plan:
    """Plan a run, log the plan, and keep it in the run's folder.

    Raises PlanTooLong where it cannot be done before the next run begins; ConfigurationWrong.
    """
    lines: dict[str, Line] = {}
    for resource in RESOURCES.values():
        strategies, reason = choose(resource, capability, options)
        start = start_of(engine, run, resource.name)
        calls = estimate(engine, {**run, "window_start": start}, resource, strategies[0], options)
        lines[resource.name] = Line(strategies=list(strategies), reason=reason, calls=calls, start=start)
        log.info("%s: strategy %s (%s), about %d calls.", resource.name, strategies[0], reason, calls)
        if strategies[0] == "per_patient" and not options.ids:
            log.info("%s: every patient's is looked at within %d hours.", resource.name, options.check_every_hours)
    rate = min(calls_per_minute, options.in_flight * 60 / READ_SECONDS)
    total = sum(line["calls"] for line in lines.values())
    plan = Plan(options=asdict(options), resources=lines, calls=total, minutes=round(total / rate, 1))
    log.info("The run needs about %d calls, %.0f minutes.", total, plan["minutes"])
    if plan["minutes"] > options.every_minutes and not options.allow_long:
        largest = max(lines, key=lambda name: lines[name]["calls"])
        raise PlanTooLong(
            f"The run needs about {plan['minutes']:.0f} minutes ({total} calls at {rate:.0f} a minute), and the next "
            f"one begins after {options.every_minutes}. The largest part is {largest}: {lines[largest]['calls']} calls "
            f"by {lines[largest]['strategies'][0]}.",
            next_move="trigger one run by hand with the option allow_long, or raise check_every_hours, or choose "
            f"another strategy for {largest} (a bulk export needs a handful of calls).",
        )
    staging.write_json(_path(run), plan)
    return plan


def of(run: Run) -> Plan:
    """Return the plan of a run.

    Raises BatchDamaged where it is not in the run's folder.
    """
    found: Plan | None = staging.read_json(_path(run))
    if found is None:
        raise BatchDamaged(
            f"The plan of the run {run['run_id']} is not in its staging folder.",
            next_move="clear the run's first task; if that does not help, check that all workers share the folder.",
        )
    return found


def estimate(engine: Engine, run: Run, resource: Resource, strategy: str, options: Options) -> int:
    """Return about how many calls a resource takes, by the last run and the links; a first run knows little."""
    linked = history.linked(engine, run["practice"], resource.name)
    match strategy:
        case "nothing":
            return 0
        case "by_id":
            return len(options.ids[resource.name])
        case "bulk":
            return 10 + linked // 100_000
        case "per_patient":
            if asked := options.ids.get("patient"):
                return len(asked)
            return round(history.linked(engine, run["practice"], "patient") * share_due(run, options))
    before = history.calls_before(engine, run["practice"], resource.name)
    if before is not None:
        return before
    match strategy:
        case "name_sweep":
            return max(len(options.letters), round(linked * COPIES / PAGE))
        case "schedule":
            return max(history.linked(engine, run["practice"], "practitioner"), 1)
    return 1 + linked // PAGE


def _path(run: Run) -> str:
    return store.join(run["staging"], "plan.json")

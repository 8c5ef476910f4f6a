"""Divide records that are too many for one run over the runs of a cycle: each run fetches those that are due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from ecw.models import Run
from ecw.pull.extract.context import ExtractContext
from ecw.settings.name_prefixes import OTHERS
from ecw.settings.pull import Options

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # turns are counted from here; any moment would do


def turns(context: ExtractContext) -> Callable[[str], bool]:
    """Return a function that returns True if an id is due in this run.

    A cycle has as many slots as runs fit into `full_cycle_hours`. The hash of an id gives its slot, and every run
    covers the slots of its window. So each id is due within `longest_turn` hours, even after an outage, and no state
    is stored.
    """
    slots, due = _slots(context.run, context.options)
    return lambda ecw_id: int.from_bytes(blake2b(ecw_id.encode(), digest_size=8).digest()) % slots in due


def share_due(run: Run, options: Options) -> float:
    """Return the share of all ids that are due in this run, from 0 to 1."""
    slots, due = _slots(run, options)
    return len(due) / slots


def turns_due(run: Run, options: Options) -> int:
    """Return how many turns are due in this run; a scheduled run has one."""
    return len(_slots(run, options)[1])


def since_turns(run: Run, options: Options, number: int) -> str:
    """Return the start of the window that covers the last `number` turns before the run's end."""
    width = timedelta(minutes=options.every_minutes)
    return (EPOCH + (number_of_turn(run, width) - number) * width).isoformat()


def longest_turn(options: Options) -> float:
    """Return the hours of a cycle: the whole runs, at least one, that fit into `full_cycle_hours`."""
    return number_of_slots(options) * options.every_minutes / 60


def number_of_slots(options: Options) -> int:
    """Return the number of turns in a cycle: as many as runs fit into `full_cycle_hours`."""
    return max(1, options.full_cycle_hours * 60 // options.every_minutes)


def _slots(run: Run, options: Options) -> tuple[int, set[int]]:
    start = None if options.full or run["window_start"] is None else datetime.fromisoformat(run["window_start"])
    if start is None:
        return 1, {0}
    width, slots = timedelta(minutes=options.every_minutes), number_of_slots(options)
    first, last = (start - EPOCH) // width, number_of_turn(run, width)
    return slots, {slot % slots for slot in range(first, min(max(last, first + 1), first + slots))}


def number_of_turn(run: Run, width: timedelta) -> int:
    """Return the number of the first turn after the run's window, counted from EPOCH."""
    return -((EPOCH - datetime.fromisoformat(run["window_end"])) // width)


def others_due(context: ExtractContext) -> set[str]:
    """Return the characters of other scripts that are due; in a full pull, all of them."""
    slots = number_of_slots(context.options)
    slot = number_of_turn(context.run, timedelta(minutes=context.options.every_minutes)) % slots
    return set(OTHERS if context.options.full else OTHERS[slot::slots])

"""What is due in a run: what is too much for one is fetched in turns, a part of it in each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from ecw.models import Run
from ecw.pull.extract.context import ExtractContext
from ecw.settings.name_prefixes import OTHERS
from ecw.settings.pull import Options

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # turns are counted from here; any moment would do


def turns(ask: ExtractContext) -> Callable[[str], bool]:
    """Return who is fetched in this run.

    Every id has one of so many slots as runs fit into `full_cycle_hours`, and every run covers the slots of its
    window: nobody waits longer than `longest_turn`, after an outage too, and no state is kept.
    """
    slots, due = _slots(ask.run, ask.options)
    return lambda ecw_id: int.from_bytes(blake2b(ecw_id.encode(), digest_size=8).digest()) % slots in due


def share_due(run: Run, options: Options) -> float:
    """Return the share of all ids who are due in this run."""
    slots, due = _slots(run, options)
    return len(due) / slots


def turns_due(run: Run, options: Options) -> int:
    """Return how many turns, one a scheduled run, are due in this run."""
    return len(_slots(run, options)[1])


def since_turns(run: Run, options: Options, number: int) -> str:
    """Return the start of the window that covers the last so many turns before the run's end."""
    width = timedelta(minutes=options.every_minutes)
    return (EPOCH + (number_of_turn(run, width) - number) * width).isoformat()


def longest_turn(options: Options) -> float:
    """Return within how many hours everybody is fetched: whole runs, at least one, within `full_cycle_hours`."""
    return number_of_slots(options) * options.every_minutes / 60


def number_of_slots(options: Options) -> int:
    """Return in how many turns everybody is fetched: as many as runs fit into `full_cycle_hours`."""
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


def others_due(ask: ExtractContext) -> set[str]:
    """Return the characters of other scripts that are due; all where everything is fetched again."""
    slots = number_of_slots(ask.options)
    slot = number_of_turn(ask.run, timedelta(minutes=ask.options.every_minutes)) % slots
    return set(OTHERS if ask.options.full else OTHERS[slot::slots])

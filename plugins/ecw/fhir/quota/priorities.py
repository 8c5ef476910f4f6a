"""The share of a minute's calls that each kind of work may take, computed from the counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from ecw.models import RunType

Kind = Literal["on_demand", "scheduled", "backfill"]

# The guaranteed share of each kind while all are active: on-demand pulls and pushes first, the backfill last.
SHARES: Mapping[Kind, float] = {"on_demand": 0.6, "scheduled": 0.3, "backfill": 0.1}
# Reserved for on-demand work while there is none: a person who presses Trigger should not wait for the next minute.
STANDING = 0.05
# After this part of the minute nothing is reserved any more: every kind may use the calls that are left.
RELEASE = 0.7


def kind_of(run_type: str) -> Kind:
    """Return the kind of work for Airflow's run type."""
    kinds: Mapping[str, Kind] = {RunType.SCHEDULED: "scheduled", RunType.BACKFILL: "backfill"}
    return kinds.get(run_type, "on_demand")


def allowed(kind: Kind, budget: int, used: Mapping[str, int], active: Collection[str], elapsed: float) -> int:
    """Return how many calls of this minute a kind may still take.

    `used` counts the minute's calls by kind; `active` are the kinds that requested calls in this minute or the one
    before; `elapsed` is the part of the minute that is over, 0 to 1. Until RELEASE, the unused guaranteed shares of the
    other active kinds are reserved for them.
    """
    left = budget - sum(used.values())
    if elapsed < RELEASE:
        for other, share in SHARES.items():
            if other == kind:
                continue
            reserved = share if other in active else STANDING if other == "on_demand" else 0.0
            left -= max(0, int(reserved * budget) - used.get(other, 0))
    return max(0, left)

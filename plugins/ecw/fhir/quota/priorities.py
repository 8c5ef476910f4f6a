"""Who may take how many of a minute's calls: a decision over counts alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

Kind = Literal["on_demand", "scheduled", "backfill"]

# What each kind of work is sure of while all are at work. On-demand pulls and pushes come first, the backfill last.
SHARES: Mapping[Kind, float] = {"on_demand": 0.6, "scheduled": 0.3, "backfill": 0.1}
# Kept for on-demand work while there is none: somebody who presses Trigger should not wait for the next minute.
STANDING = 0.05
# From this part of the minute on nothing is kept any more: what nobody asked for is used up.
RELEASE = 0.7


def kind_of(run_type: str) -> Kind:
    """Return the kind of work that a run of Airflow's run type does."""
    return {"scheduled": "scheduled", "backfill": "backfill"}.get(run_type, "on_demand")  # type: ignore[return-value]


def allowed(kind: Kind, budget: int, used: Mapping[str, int], active: Collection[str], elapsed: float) -> int:
    """Return how many calls of this minute a kind may still take.

    `used` counts the minute's calls by kind; `active` are the kinds that asked in this minute or the one before;
    `elapsed` is the part of the minute that is over. What the other active kinds are sure of and have not used is
    left to them until RELEASE.
    """
    left = budget - sum(used.values())
    if elapsed < RELEASE:
        for other, share in SHARES.items():
            if other == kind:
                continue
            kept = share if other in active else STANDING if other == "on_demand" else 0.0
            left -= max(0, int(kept * budget) - used.get(other, 0))
    return max(0, left)

"""State words of the bookkeeping tables, each defined once."""

from __future__ import annotations

from enum import StrEnum

PRACTICE_OPTION = "crm_practice_column"  # the engine's execution option: another name of the column of the practice
GONE = "gone"  # the rule of a reject whose record eCW no longer has


class RejectState(StrEnum):
    """Where a reject stands."""

    OPEN = "open"
    DISMISSED = "dismissed"  # a person has said that it may stay out; the same content does not open it again
    RESOLVED = "resolved"


class ConflictState(StrEnum):
    """Where a conflict stands: open ones wait for a person."""

    OPEN = "open"
    SETTLED = "settled"

"""Pseudo-random choices that depend only on the seed and a record's number, without state between records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from hashlib import blake2b
from typing import TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")

_CHANGES_FROM = datetime(2024, 1, 2)  # noqa: DTZ001 - local time; the practice's zone is added last
_CHANGES_DAYS = 1040  # to November 2026


class Draw:
    """512 bits, used up choice by choice: enough for about seventy choices among a hundred."""

    __slots__ = ("_bits",)

    def __init__(self, seed: int, kind: str, key: int) -> None:
        self._bits = int.from_bytes(blake2b(f"{seed}|{kind}|{key}".encode()).digest())

    def below(self, limit: int) -> int:
        self._bits, rest = divmod(self._bits, limit)
        return rest

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def percent(self, chance: int) -> bool:
        return self.below(100) < chance

    def changed(self, zone: ZoneInfo) -> str:
        """Return a `meta.lastUpdated` of the last years, with the practice's offset on that day."""
        moment = _CHANGES_FROM + timedelta(days=self.below(_CHANGES_DAYS), seconds=25_200 + self.below(43_200))
        return local(moment, zone)


def local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.replace(tzinfo=zone).isoformat(timespec="seconds")


def quarter_hour(day: datetime, quarters: int) -> datetime:
    """Return `quarters` quarter hours after eight o'clock."""
    return datetime.combine(day, time(8)) + timedelta(minutes=15 * quarters)

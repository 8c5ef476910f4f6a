"""Estimate the server's clock minutes: eCW counts calls by its own clock, not by this machine's."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

# Seconds
ASSUMED = 2.0  # the assumed difference of the clocks, at most, before the first answer
DELAY = 1.0  # the travel time of an answer, and of a request, at most
RESOLUTION = 1.0  # of the Date header
DAY = 86_400.0  # the first Date is accepted if it differs from this machine's clock by less
STALE = 1.0  # the age of a Date header, at most: servers renew it only once a second


class Window(NamedTuple):
    """A minute of the server, and the times, by this machine's clock, between which a call certainly counts in it."""

    minute: int
    opens: float
    closes: float


class Minutes:
    """Keeps the bounds of `server's clock - this machine's clock`; every answer's Date header narrows them.

    If Date D arrives at the local time t, the offset is at least D - t, and at most D - t plus the header's
    resolution, its age and the travel time of the answer.
    """

    def __init__(self, length: float = 60.0) -> None:
        self.length = length
        self._scale = length / 60.0
        self.low, self.high = -ASSUMED * self._scale, ASSUMED * self._scale
        self._seen = False
        self._doubted: tuple[float, float] | None = None  # the bounds of the last Date, if it contradicts the others

    def saw(self, date: str, now: float) -> None:
        """Narrow the bounds by an answer's Date header (RFC 9110, 5.6.7) that arrived at the local time `now`.

        A Date that contradicts the bounds is accepted if the next one agrees with it: then one of the clocks was set.
        A single wrong Date, from a cache or a gateway, changes nothing.
        """
        try:
            written = parsedate_to_datetime(date)
            server = (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
        except (TypeError, ValueError, OverflowError, IndexError):
            return
        low = server - now
        found = low, low + RESOLUTION + STALE + DELAY * self._scale
        bounds = (self.low, self.high) if self._seen else (-DAY, DAY)
        if (both := _common(found, bounds)) is not None:
            found = both if self._seen else found
        elif self._doubted is None or (both := _common(found, self._doubted)) is None:
            self._doubted = found
            return
        else:
            found = both
        self._seen, (self.low, self.high), self._doubted = True, found, None

    def window(self, now: float) -> Window:
        """Return the window that is open at `now`, or else the next one."""
        minute = int((now + self.low) // self.length)
        found = self._of(minute)
        return found if now < found.closes else self._of(minute + 1)

    def elapsed(self, now: float) -> float:
        """Return the part of the server's current minute that is certainly over, 0 to 1."""
        return ((now + self.low) % self.length) / self.length

    def _of(self, minute: int) -> Window:
        opens = minute * self.length - self.low
        return Window(minute, opens, max(opens, (minute + 1) * self.length - self.high - DELAY * self._scale))


def _common(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    """Return the intersection of two intervals; None if it is empty."""
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None

"""The server's clock minutes, as seen from here: eCW counts calls by its own clock, not by ours."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

# Seconds
ASSUMED = 2.0  # how far off this machine's clock may be before the first answer
DELAY = 1.0  # how long an answer may travel, and a request
RESOLUTION = 1.0  # of the Date header
DAY = 86_400.0  # no clock is as far off: the first answer's Date is believed within it
STALE = 1.0  # servers write the Date header afresh only once a second


class Window(NamedTuple):
    """A minute of the server, and when, by this machine's clock, a call surely counts in it."""

    minute: int
    opens: float
    closes: float


class Minutes:
    """Keeps the bounds of `server's clock - this machine's clock`, narrowed by every answer's Date header.

    A Date of D at the local time t says that the offset is at least D - t, and at most D - t plus the header's
    resolution, its age and the answer's way.
    """

    def __init__(self, length: float = 60.0) -> None:
        self.length = length
        self._scale = length / 60.0
        self.low, self.high = -ASSUMED * self._scale, ASSUMED * self._scale
        self._seen = False
        self._doubted: tuple[float, float] | None = None  # the bounds of the last Date, where it contradicts the others

    def saw(self, date: str, now: float) -> None:
        """Learn from an answer's Date header (RFC 9110, 5.6.7), which came at the local time `now`.

        One that contradicts the bounds is believed when the next one agrees with it: one of the two clocks was set.
        A single bad Date, of a cache or a gateway, changes nothing.
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
        """Return the part of the server's present minute that is surely over."""
        return ((now + self.low) % self.length) / self.length

    def _of(self, minute: int) -> Window:
        opens = minute * self.length - self.low
        return Window(minute, opens, max(opens, (minute + 1) * self.length - self.high - DELAY * self._scale))


def _common(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None

"""The kill switch: the Variable `ecw_push_kill_switch`, read before every request.

It stops all practices; `ecw_push_kill_switch__north` stops only the practice north.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from ecw.errors import PushStopped
from ecw.fhir.transport import Late, Permits
from ecw.settings import connections
from ecw.settings.practice import Practice

STOP, WATCH = "ecw_push_kill_switch", "ecw_push_auto_start"
FRESH = 1.0  # seconds for which the value is cached; a request to eCW takes longer
_NO = ("", "0", "false", "no", "off")


def is_on(name: str, *, unset: bool) -> bool:
    """Return False if the Variable is empty, 0, false, no or off, True for other values, `unset` if it is missing."""
    value = connections.variable(name)
    return unset if value is None else value.strip().lower() not in _NO


def stopped(practice: Practice) -> str | None:
    """Return the name of the Variable that stops a practice's push, or None."""
    names = dict.fromkeys((STOP, practice.variable(STOP)))
    return next((name for name in names if is_on(name, unset=False)), None)


class Allowed:
    """Returns True while the push is allowed; all threads share a value that is at most FRESH seconds old."""

    def __init__(self, practice: Practice, clock: Callable[[], float] = time.monotonic) -> None:
        self._practice, self._clock = practice, clock
        self._lock = Lock()
        self._read_at: float | None = None
        self._stopped = False

    def __call__(self) -> bool:
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at >= FRESH:
                self._stopped = stopped(self._practice) is not None
                self._read_at = self._clock()
            return not self._stopped


class Switched:
    """A client's permits that also check the kill switch: before each attempt of a call, and again after the wait for
    the quota.
    """

    def __init__(self, permits: Permits, allowed: Callable[[], bool]) -> None:
        self._permits, self._allowed = permits, allowed

    def __call__(self) -> Late:
        """Wait for a permit.  Raises PushStopped."""
        self._require()
        late = self._permits()
        self._require()
        return late

    def _require(self) -> None:
        if not self._allowed():
            raise PushStopped(
                f"The Variable {STOP} is set: the push makes no requests.",
                next_step="remove it, then clear the task or trigger a run.",
            )

    def spent(self) -> None:
        """Report to the quota that the server answered 429."""
        self._permits.spent()

    def server_date(self, date: str) -> None:
        """Report the server's clock to the quota."""
        self._permits.server_date(date)

"""The kill switch: the Variable `ecw_push_kill_switch`, asked before every request.

It stops all practices; `ecw_push_kill_switch__north` stops the practice north alone.
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
FRESH = 1.0  # seconds: a request takes eCW longer
_NO = ("", "0", "false", "no", "off")


def is_on(name: str, *, unset: bool) -> bool:
    """Return True if a switch is on: any value but 0, false, no and off is; `unset` where there is none."""
    value = connections.variable(name)
    return unset if value is None else value.strip().lower() not in _NO


def stopped(practice: Practice) -> str | None:
    """Return the Variable that stops a practice's push, None where none does."""
    names = dict.fromkeys((STOP, practice.variable(STOP)))
    return next((name for name in names if is_on(name, unset=False)), None)


class Allowed:
    """Tells whether writing is allowed now; all threads share one answer, which is at most a second old."""

    def __init__(self, practice: Practice, clock: Callable[[], float] = time.monotonic) -> None:
        self._practice, self._clock = practice, clock
        self._lock = Lock()
        self._asked: float | None = None
        self._stopped = False

    def __call__(self) -> bool:
        with self._lock:
            if self._asked is None or self._clock() - self._asked >= FRESH:
                self._stopped = stopped(self._practice) is not None
                self._asked = self._clock()
            return not self._stopped


class Switched:
    """Permits of a client that are given only while the push is allowed: asked before every request it makes.

    That is before each attempt of a call, and once more after a wait for the quota.
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
                f"The Variable {STOP} is set: nothing is sent, and nothing is read.",
                next_step="remove it, then clear the task or trigger a run.",
            )

    def spent(self) -> None:
        """Learn that the server answered 429."""
        self._permits.spent()

    def server_date(self, date: str) -> None:
        """Learn the server's clock."""
        self._permits.server_date(date)

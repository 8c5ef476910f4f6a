"""The kill switch: the Variable `ecw_push_stop`, asked before every request."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from ecw import connections

STOP, WATCH = "ecw_push_stop", "ecw_push_watch"
FRESH = 1.0  # seconds: a request takes eCW longer
_NO = ("", "0", "false", "no", "off")


def is_on(name: str, *, unset: bool) -> bool:
    """Say whether a switch is on: any value but 0, false, no and off is; `unset` where there is none."""
    value = connections.variable(name)
    return unset if value is None else value.strip().lower() not in _NO


class Allowed:
    """Says whether writing is allowed now; all threads share one answer, which is at most a second old."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._asked: float | None = None
        self._stopped = False

    def __call__(self) -> bool:
        with self._lock:
            if self._asked is None or self._clock() - self._asked >= FRESH:
                self._stopped = is_on(STOP, unset=False)
                self._asked = self._clock()
            return not self._stopped

"""One budget of calls per practice and clock minute, shared by all threads, processes and workers.

eCW allows 250 calls a minute per practice, token calls included, and refuses further calls until the minute is over
(reference, 2). Every call takes a permit first. All processes share the store and reserve permits there, in blocks no
larger than the number of waiting threads: every reserved permit is used soon, and one transaction serves several
calls. The permits of a process that dies are lost only until the minute is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from threading import Condition
from typing import Protocol

from ecw.fhir.quota.priorities import RELEASE, Kind, allowed
from ecw.fhir.quota.server_clock import Minutes

BLOCK = 10  # permits in one reservation
MARGIN = 0.02  # of the quota is left unused, for other programs with the same credentials
REFUSED = "refused"  # counted like a kind of work, once the server has refused a call in the minute
log = logging.getLogger(__name__)

Counts = Mapping[str, int]


class Store(Protocol):
    """Counts of calls by practice, minute and kind of work, shared by all processes."""

    def reserve(self, practice: str, minute: int, kind: str, decide: Callable[[Counts, Counts], int]) -> int:
        """Call `decide(previous minute's counts, this minute's counts)`, add its result to the count and return it.

        One transaction. From then on the counts contain the kind, with 0 if nothing was granted.
        """

    def add(self, practice: str, minute: int, kind: str, number: int) -> None:
        """Add calls to the count without a decision."""


class Clock:
    """The machine's clock, or a faster one: in a bench, minutes pass in seconds."""

    def __init__(self, speed: float = 1.0, origin: float = 0.0) -> None:
        self._speed = speed
        self._origin = origin

    def now(self) -> float:
        """Return seconds since 1970."""
        return self._origin + (time.time() - self._origin) * self._speed

    def wait(self, change: Condition, seconds: float | None) -> None:
        """Wait until `change` is notified, or until so many of this clock's seconds have passed."""
        change.wait(None if seconds is None else seconds / self._speed)


class Quota:
    """Permits of one practice for one kind of work, in one process.  Thread-safe."""

    def __init__(
        self, store: Store, practice: str, kind: Kind, *, calls_per_minute: int = 250, clock: Clock | None = None
    ) -> None:
        self.store = store
        self.practice = practice
        self.kind = kind
        self.budget = calls_per_minute - max(1, round(MARGIN * calls_per_minute)) if calls_per_minute > 1 else 1
        self.clock = clock or Clock()
        self.minutes = Minutes()
        self._changed = Condition()
        self._waiting = 0
        self._reserving = False
        self._held = 0
        self._held_minute = -1
        self._not_before = 0.0

    def __call__(self) -> Callable[[], bool]:
        """Wait until one more call is allowed; return a function that returns True once the permit has expired.

        Raises the store's errors.
        """
        with self._changed:
            self._waiting += 1
            try:
                while (until := self._take(self.clock.now())) is None:
                    self._reserve_or_wait()
            finally:
                self._waiting -= 1
        return lambda: self.clock.now() >= until

    def spent(self) -> None:
        """Record that the server answered 429: all calls wait for the server's next minute."""
        with self._changed:
            minute = self.minutes.window(self.clock.now()).minute
            self._held = 0
        log.warning(
            "Practice %s: eCW refused a call, the quota is used up; waiting for the next minute.", self.practice
        )
        self.store.add(self.practice, minute, REFUSED, 1)

    def server_date(self, date: str) -> None:
        """Update the estimate of the server's clock from an answer's Date header."""
        with self._changed:
            self.minutes.saw(date, self.clock.now())

    def _take(self, now: float) -> float | None:
        """Take one of this process's permits, if their minute of the server is open; None if there is none.

        Returns when that minute closes, by this machine's clock.
        """
        window = self.minutes.window(now)
        if not self._held or window.minute != self._held_minute or now < window.opens:
            return None
        self._held -= 1
        return window.closes

    def _reserve_or_wait(self) -> None:
        """Reserve permits in the store for the waiting threads of this process.

        If another thread is reserving, or no permit can be granted yet, wait instead. Called with the lock, which is
        released while the store works.
        """
        now = self.clock.now()
        window = self.minutes.window(now)
        wait = max(window.opens, self._not_before) - now
        if self._reserving:
            self.clock.wait(self._changed, None)
            return
        if wait > 0:
            self.clock.wait(self._changed, wait)
            return
        self._reserving = True
        wanted, elapsed = min(self._waiting, BLOCK), self.minutes.elapsed(now)
        self._changed.release()
        granted = 0
        try:
            granted = self.store.reserve(self.practice, window.minute, self.kind, self._decision(wanted, elapsed))
        finally:
            self._changed.acquire()
            self._reserving = False
            self._held, self._held_minute = granted, window.minute
            if not granted:
                # The next permits come when the shares of the other kinds are released, else in the next minute.
                release = window.opens + RELEASE * self.minutes.length
                self._not_before = release if now < release else window.opens + self.minutes.length
            self._changed.notify_all()

    def _decision(self, wanted: int, elapsed: float) -> Callable[[Counts, Counts], int]:
        def decide(before: Counts, used: Counts) -> int:
            if REFUSED in used:
                return 0
            return min(wanted, allowed(self.kind, self.budget, used, {*before, *used}, elapsed))

        return decide

"""One budget of calls per practice and clock minute, for every thread, process and worker.

eCW counts 250 calls a minute per practice, token calls included, and refuses the rest of that minute (reference, 2).
Every call takes a permit first. Permits are reserved in the store, which all processes share, in blocks no larger than
the number of threads that wait: nothing is reserved that is not about to be used, and one transaction serves several
calls. A process that dies takes its permits with it until the minute is over, no longer.
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
MARGIN = 0.02  # of the quota is left alone, for calls of others with the same practice's credentials
REFUSED = "refused"  # stands among the kinds of work once the server has refused a call of the minute
log = logging.getLogger(__name__)

Counts = Mapping[str, int]


class Store(Protocol):
    """Where processes meet: counts of calls by practice, minute and kind of work."""

    def reserve(self, practice: str, minute: int, kind: str, decide: Callable[[Counts, Counts], int]) -> int:
        """Count as many calls as `decide(previous minute's counts, this minute's)` says, in one transaction.

        Returns that number. The kind appears among the counts from then on, with 0 where nothing was granted.
        """

    def add(self, practice: str, minute: int, kind: str, number: int) -> None:
        """Count so many calls without asking."""


class Clock:
    """The machine's clock, or one that runs faster: a bench lets minutes pass in seconds."""

    def __init__(self, speed: float = 1.0, origin: float = 0.0) -> None:
        self._speed = speed
        self._origin = origin

    def now(self) -> float:
        """Return seconds since 1970."""
        return self._origin + (time.time() - self._origin) * self._speed

    def wait(self, change: Condition, seconds: float | None) -> None:
        """Wait for a change, or so many of this clock's seconds."""
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
        self._asking = False
        self._held = 0
        self._held_minute = -1
        self._not_before = 0.0

    def __call__(self) -> Callable[[], bool]:
        """Wait until one more call may be made; return the question whether it is too late to make it.

        Raises what the store raises.
        """
        with self._changed:
            self._waiting += 1
            try:
                while (until := self._take(self.clock.now())) is None:
                    self._wait_or_ask()
            finally:
                self._waiting -= 1
        return lambda: self.clock.now() >= until

    def spent(self) -> None:
        """Learn that the server answered 429: everybody waits for its next minute."""
        with self._changed:
            minute = self.minutes.window(self.clock.now()).minute
            self._held = 0
        log.warning(
            "Practice %s: eCW refused a call, the quota is used up; waiting for the next minute.", self.practice
        )
        self.store.add(self.practice, minute, REFUSED, 1)

    def server_date(self, date: str) -> None:
        """Learn the server's clock from an answer's Date header."""
        with self._changed:
            self.minutes.saw(date, self.clock.now())

    def _take(self, now: float) -> float | None:
        """Take one of the permits that this process holds, if the server's minute they are for is open.

        Returns when that minute closes, by this machine's clock.
        """
        window = self.minutes.window(now)
        if not self._held or window.minute != self._held_minute or now < window.opens:
            return None
        self._held -= 1
        return window.closes

    def _wait_or_ask(self) -> None:
        """Ask the store for this process's waiting threads, or wait until somebody else has, or until it makes sense.

        Called with the lock, which is given back while the store answers.
        """
        now = self.clock.now()
        window = self.minutes.window(now)
        wait = max(window.opens, self._not_before) - now
        if self._asking:
            self.clock.wait(self._changed, None)
            return
        if wait > 0:
            self.clock.wait(self._changed, wait)
            return
        self._asking = True
        wanted, elapsed = min(self._waiting, BLOCK), self.minutes.elapsed(now)
        self._changed.release()
        granted = 0
        try:
            granted = self.store.reserve(self.practice, window.minute, self.kind, self._decision(wanted, elapsed))
        finally:
            self._changed.acquire()
            self._asking = False
            self._held, self._held_minute = granted, window.minute
            if not granted:
                # Nothing more until what is kept for others is released, or else until the next minute.
                release = window.opens + RELEASE * self.minutes.length
                self._not_before = release if now < release else window.opens + self.minutes.length
            self._changed.notify_all()

    def _decision(self, wanted: int, elapsed: float) -> Callable[[Counts, Counts], int]:
        def decide(before: Counts, used: Counts) -> int:
            if REFUSED in used:
                return 0
            return min(wanted, allowed(self.kind, self.budget, used, {*before, *used}, elapsed))

        return decide

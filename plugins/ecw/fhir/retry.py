"""How long a call is tried: by class of error, with full jitter, and not at all while the server seems dead."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential
from tenacity.stop import stop_after_attempt, stop_after_delay, stop_all

from ecw.errors import CircuitOpen, EcwError, ExportRunning, OutcomeUnknown, RetryableError, ServerUnavailable

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Try again until both are used up: `attempts`, and `seconds` since the first.

    Attempts as well as seconds, because one attempt can wait minutes for its permit when others come first.
    """

    attempts: int = 4
    seconds: float = 120.0
    longest_wait: float = 20.0


AT_ONCE = RetryPolicy(attempts=1, seconds=0)  # for a person who waits


class Circuit:
    """Opens after failures in a row, whatever thread they came from; then one call at a time tries the server."""

    def __init__(self, failures: int = 10, pause: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._first_pause = self._pause = pause
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._trying = False
        self._lock = Lock()

    def enter(self) -> None:
        """Let a call pass, or raise CircuitOpen."""
        with self._lock:
            if self._failures < self._limit:
                return
            now = self._clock()
            if now < self._open_until:
                raise CircuitOpen(
                    f"eCW failed {self._failures} calls in a row; none is made for {self._open_until - now:.0f} s.",
                    next_step="try again later; check whether eCW reports an outage.",
                )
            self._trying = True
            self._open_until = now + self._pause  # the others go on waiting for what this call finds

    def failed(self) -> None:
        """Count a failure; one that was the only call after a pause makes the next pause twice as long."""
        with self._lock:
            self._failures += 1
            if self._trying:
                self._trying, self._pause = False, min(self._pause * 2, self._first_pause * 12)
                self._open_until = self._clock() + self._pause
            elif self._failures == self._limit:
                self._open_until = self._clock() + self._pause

    def answered(self) -> None:
        """Note that the server is there."""
        with self._lock:
            self._failures, self._trying, self._pause = 0, False, self._first_pause


class Retrier:
    """Runs attempts with patience, behind a circuit that they all share.  Thread-safe."""

    def __init__(self, patience: RetryPolicy, circuit: Circuit, sleep: Callable[[float], None] = time.sleep) -> None:
        self.patience = patience
        self.circuit = circuit
        self._sleep = sleep

    def __call__(self, attempt: Callable[[], T]) -> T:
        """Return what the attempt returns, trying again while its error is one that a later try can fix.

        Raises the last attempt's error.  OutcomeUnknown is never tried again here: the caller must search first.
        """
        retrying = Retrying(
            retry=retry_if_exception(_fixes_itself),
            wait=wait_random_exponential(multiplier=1, max=self.patience.longest_wait),  # full jitter
            stop=stop_all(stop_after_attempt(self.patience.attempts), stop_after_delay(self.patience.seconds)),
            before_sleep=_log_retry,
            sleep=self._sleep,
            reraise=True,
        )
        result: T = retrying(self.once, attempt)
        return result

    def once(self, attempt: Callable[[], T]) -> T:
        """Return what one attempt returns, behind the circuit; raise its error."""
        self.circuit.enter()
        try:
            result = attempt()
        except ServerUnavailable:
            self.circuit.failed()
            raise
        except EcwError:
            self.circuit.answered()
            raise
        self.circuit.answered()
        return result


def _fixes_itself(error: BaseException) -> bool:
    return isinstance(error, RetryableError) and not isinstance(error, OutcomeUnknown | ExportRunning)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    what = error.what if isinstance(error, EcwError) else type(error).__name__
    log.info("Attempt %d: %s Again in %.1f s.", state.attempt_number, what, state.upcoming_sleep)

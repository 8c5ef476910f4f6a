"""Retries of a call: by class of error, with full jitter; a circuit breaker pauses them while the server is down."""

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
    """Retry until both limits are reached: the number of `attempts`, and `seconds` since the first.

    Both, because one attempt alone can wait minutes for its permit.
    """

    attempts: int = 4
    seconds: float = 120.0
    longest_wait: float = 20.0


AT_ONCE = RetryPolicy(attempts=1, seconds=0)  # for a person who waits


class Circuit:
    """A circuit breaker for all threads: after failures in a row, one call per pause tries the server."""

    def __init__(self, failures: int = 10, pause: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._first_pause = self._pause = pause
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._trying = False
        self._lock = Lock()

    def enter(self) -> None:
        """Allow a call, or raise CircuitOpen."""
        with self._lock:
            if self._failures < self._limit:
                return
            now = self._clock()
            if now < self._open_until:
                raise CircuitOpen(
                    f"eCW failed {self._failures} calls in a row; calls are paused for {self._open_until - now:.0f} s.",
                    next_step="try again later; check whether eCW reports an outage.",
                )
            self._trying = True
            self._open_until = now + self._pause  # the other calls wait for the result of this one

    def failed(self) -> None:
        """Count a failure; if the trial call after a pause fails, the next pause is twice as long, up to 12 times."""
        with self._lock:
            self._failures += 1
            if self._trying:
                self._trying, self._pause = False, min(self._pause * 2, self._first_pause * 12)
                self._open_until = self._clock() + self._pause
            elif self._failures == self._limit:
                self._open_until = self._clock() + self._pause

    def answered(self) -> None:
        """Record that the server answered: close the circuit."""
        with self._lock:
            self._failures, self._trying, self._pause = 0, False, self._first_pause


class Retrier:
    """Retries attempts as a RetryPolicy allows; all share one circuit.  Thread-safe."""

    def __init__(
        self, retry_policy: RetryPolicy, circuit: Circuit, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.retry_policy = retry_policy
        self.circuit = circuit
        self._sleep = sleep

    def __call__(self, attempt: Callable[[], T]) -> T:
        """Return the attempt's result; retry it while its error is temporary.

        Raises the last attempt's error.  OutcomeUnknown is never retried here: the caller must search first.
        """
        retrying = Retrying(
            retry=retry_if_exception(_is_temporary),
            wait=wait_random_exponential(multiplier=1, max=self.retry_policy.longest_wait),  # full jitter
            stop=stop_all(stop_after_attempt(self.retry_policy.attempts), stop_after_delay(self.retry_policy.seconds)),
            before_sleep=_log_retry,
            sleep=self._sleep,
            reraise=True,
        )
        result: T = retrying(self.once, attempt)
        return result

    def once(self, attempt: Callable[[], T]) -> T:
        """Return the result of one attempt, or raise its error; the circuit counts both."""
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


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, RetryableError) and not isinstance(error, OutcomeUnknown | ExportRunning)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    what = error.what if isinstance(error, EcwError) else type(error).__name__
    log.info("Attempt %d: %s Again in %.1f s.", state.attempt_number, what, state.upcoming_sleep)

"""Retries, their waits and the circuit breaker."""

import pytest

from ecw.errors import (
    AuthenticationError,
    BadRequest,
    CircuitOpen,
    ExportRunning,
    OutcomeUnknown,
    RateLimited,
    ServerUnavailable,
)
from ecw.fhir.retry import Circuit, Retrier, RetryPolicy


class Clock:
    """A clock that moves only when the code sleeps."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Server:
    """Fails the first calls with these errors, then answers."""

    def __init__(self, *errors: type) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)("it failed.", next_step="nothing.")
        return "answer"


def retrier(attempts=4, clock=None, **circuit) -> Retrier:
    clock = clock or Clock()
    return Retrier(RetryPolicy(attempts, seconds=0), Circuit(clock=clock, **circuit), sleep=clock.sleep)


def test_retryable_errors_are_retried():
    server = Server(ServerUnavailable, RateLimited, ServerUnavailable)
    assert retrier()(server) == "answer"
    assert server.calls == 4


def test_the_last_error_is_raised_after_the_last_attempt():
    server = Server(*[ServerUnavailable] * 3, RateLimited, ServerUnavailable)
    with pytest.raises(RateLimited):
        retrier()(server)
    assert server.calls == 4


@pytest.mark.parametrize("error", [BadRequest, AuthenticationError, OutcomeUnknown, ExportRunning])
def test_an_error_that_is_not_retryable_is_raised_at_once(error):
    server = Server(error)
    with pytest.raises(error):
        retrier()(server)
    assert server.calls == 1


def test_waits_have_jitter_and_a_maximum():
    waits: list[float] = []
    retry = Retrier(RetryPolicy(40, seconds=0, longest_wait=20), Circuit(failures=99), sleep=waits.append)
    with pytest.raises(ServerUnavailable):
        retry(Server(*[ServerUnavailable] * 40))
    assert len(set(waits)) == len(waits) == 39
    assert 0 < max(waits) <= 20
    assert max(waits[:2]) <= 2


def test_retries_go_on_until_both_the_attempts_and_the_time_are_used_up():
    server = Server(*[ServerUnavailable] * 9)
    assert Retrier(RetryPolicy(2, seconds=60), Circuit(), sleep=lambda seconds: None)(server) == "answer"
    assert server.calls == 10


def test_an_open_circuit_keeps_calls_to_a_dead_server_few():
    clock, server = Clock(), Server(*[ServerUnavailable] * 1000)
    retry = retrier(attempts=5, clock=clock, failures=10, pause=5)
    for _ in range(100):
        with pytest.raises(ServerUnavailable):
            retry(server)
        clock.now += 1
    assert clock.now > 500
    assert server.calls < 10 + 2 * clock.now / 60 + 6


def test_an_open_circuit_lets_one_call_through_after_each_pause():
    clock = Clock()
    circuit = Circuit(failures=3, pause=5, clock=clock)
    for _ in range(3):
        circuit.enter()
        circuit.failed()
    with pytest.raises(CircuitOpen, match="failed 3 calls in a row; calls are paused for 5 s"):
        circuit.enter()
    clock.now = 5.0
    circuit.enter()
    with pytest.raises(CircuitOpen):
        circuit.enter()
    circuit.failed()
    clock.now = 14.9
    with pytest.raises(CircuitOpen):
        circuit.enter()
    clock.now = 15.0
    circuit.enter()
    circuit.answered()
    circuit.enter()


def test_failures_of_calls_under_way_do_not_lengthen_the_pause():
    clock = Clock()
    circuit = Circuit(failures=3, pause=5, clock=clock)
    for _ in range(16):
        circuit.failed()
    clock.now = 4.9
    with pytest.raises(CircuitOpen):
        circuit.enter()
    clock.now = 5.0
    circuit.enter()


def test_a_refusal_resets_the_count_of_failures():
    circuit = Circuit(failures=2)
    retry = Retrier(RetryPolicy(1, 0), circuit, sleep=lambda seconds: None)
    for error in (ServerUnavailable, BadRequest, ServerUnavailable, RateLimited, ServerUnavailable):
        with pytest.raises(error):
            retry(Server(error))
    circuit.enter()


def test_a_failed_attempt_is_logged(caplog):
    caplog.set_level("INFO")
    retrier()(Server(ServerUnavailable))
    assert "Attempt 1: it failed. Again in" in caplog.text

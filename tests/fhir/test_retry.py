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
    """A clock that only sleeping moves."""

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


def trying(attempts=4, clock=None, **circuit) -> Retrier:
    clock = clock or Clock()
    return Retrier(RetryPolicy(attempts, seconds=0), Circuit(clock=clock, **circuit), sleep=clock.sleep)


def test_transient_errors_are_tried_again():
    server = Server(ServerUnavailable, RateLimited, ServerUnavailable)
    assert trying()(server) == "answer"
    assert server.calls == 4


def test_the_last_error_is_raised_when_patience_ends():
    server = Server(*[ServerUnavailable] * 3, RateLimited, ServerUnavailable)
    with pytest.raises(RateLimited):
        trying()(server)
    assert server.calls == 4


@pytest.mark.parametrize("error", [BadRequest, AuthenticationError, OutcomeUnknown, ExportRunning])
def test_what_does_not_fix_itself_is_raised_at_once(error):
    server = Server(error)
    with pytest.raises(error):
        trying()(server)
    assert server.calls == 1


def test_waits_have_jitter_and_an_upper_end():
    waits: list[float] = []
    patient = Retrier(RetryPolicy(40, seconds=0, longest_wait=20), Circuit(failures=99), sleep=waits.append)
    with pytest.raises(ServerUnavailable):
        patient(Server(*[ServerUnavailable] * 40))
    assert len(set(waits)) == len(waits) == 39
    assert 0 < max(waits) <= 20
    assert max(waits[:2]) <= 2


def test_time_is_used_up_even_when_the_attempts_are():
    """Attempts alone do not end it: both must be used up."""
    server = Server(*[ServerUnavailable] * 9)
    assert Retrier(RetryPolicy(2, seconds=60), Circuit(), sleep=lambda seconds: None)(server) == "answer"
    assert server.calls == 10


def test_a_dead_server_costs_few_calls():
    clock, server = Clock(), Server(*[ServerUnavailable] * 1000)
    patient = trying(attempts=5, clock=clock, failures=10, pause=5)
    for _ in range(100):
        with pytest.raises(ServerUnavailable):
            patient(server)
        clock.now += 1
    assert clock.now > 500
    assert server.calls < 10 + 2 * clock.now / 60 + 6


def test_an_open_circuit_lets_one_call_try():
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


def test_calls_that_were_under_way_do_not_make_the_pause_longer():
    clock = Clock()
    circuit = Circuit(failures=3, pause=5, clock=clock)
    for _ in range(16):
        circuit.failed()
    clock.now = 5.0
    circuit.enter()


def test_a_refusal_shows_that_the_server_is_there():
    circuit = Circuit(failures=2)
    patient = Retrier(RetryPolicy(1, 0), circuit, sleep=lambda seconds: None)
    for error in (ServerUnavailable, BadRequest, ServerUnavailable, RateLimited, ServerUnavailable):
        with pytest.raises(error):
            patient(Server(error))
    circuit.enter()


def test_an_attempt_is_reported_without_values(caplog):
    caplog.set_level("INFO")
    trying()(Server(ServerUnavailable))
    assert "Attempt 1: it failed. Again in" in caplog.text

"""Calls in sixteen threads, over items that are taken as threads become free."""

from threading import Event, Lock

import pytest

from ecw.errors import ServerUnavailable
from ecw.fhir.thread_pool import concurrent


class Gauge:
    """Counts the calls that run at once, and the items that were taken."""

    def __init__(self) -> None:
        self.lock, self.now, self.most, self.taken = Lock(), 0, 0, 0
        self.full = Event()

    def items(self, count: int):
        for number in range(count):
            self.taken += 1
            yield number

    def call(self, number: int) -> int:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now == 16:
                self.full.set()
        self.full.wait(5)
        with self.lock:
            self.now -= 1
        return number * number


def test_every_item_is_returned_with_its_result_by_sixteen_threads():
    gauge = Gauge()
    assert sorted(concurrent(gauge.call, gauge.items(200))) == [(n, n * n) for n in range(200)]
    assert gauge.most == 16


def test_items_are_taken_only_as_results_are_used():
    gauge = Gauge()
    results = concurrent(gauge.call, gauge.items(1000))
    for used in range(1, 50):
        next(results)
        assert gauge.taken <= used + 15 + 16
    results.close()
    assert gauge.taken < 100
    assert gauge.now == 0


def test_no_items_give_no_results():
    assert list(concurrent(lambda item: item, [])) == []


def test_the_first_error_is_raised_and_no_more_items_are_taken():
    def call(number: int) -> int:
        if number == 40:
            raise ServerUnavailable("it failed.", next_step="nothing.")
        return number

    gauge = Gauge()
    with pytest.raises(ServerUnavailable):
        list(concurrent(call, gauge.items(1000)))
    assert 40 < gauge.taken < 100


def test_an_error_of_the_iterator_is_raised():
    def items():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(concurrent(lambda item: item, items()))

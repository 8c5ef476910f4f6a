"""The limiter in virtual time: simulated processes, clocks and server, with the real store on a real database."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import count
from random import Random
from threading import Condition

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from ecw.crm.state.quota_store import QuotaStore
from ecw.fhir.quota.limiter import Quota
from ecw.fhir.quota.priorities import SHARES, Kind
from tests.fixtures.examples import examples

pytestmark = pytest.mark.both_databases

EPOCH = 1_800_000_000.0
KINDS = list(SHARES)
_practices = count()


class Blocked(Exception):
    """The process would sleep; the argument is the number of seconds."""


class VirtualClock:
    """The clock of a process: the world's time plus `offset` seconds."""

    def __init__(self, world: World, offset: float) -> None:
        self.world = world
        self.wrong = offset

    def now(self) -> float:
        return self.world.now + self.wrong

    def wait(self, change: Condition, seconds: float | None) -> None:
        raise Blocked(seconds)


@dataclass
class World:
    """A server that counts calls by its own clock, and the processes that call it."""

    engine: Engine
    quota: int
    random: Random
    now: float = EPOCH
    calls: Counter[tuple[int, str]] = field(default_factory=Counter)
    events: list[tuple[float, int, int, str]] = field(default_factory=list)
    processes: list[Quota] = field(default_factory=list)
    practice: str = field(default_factory=lambda: f"P{next(_practices)}")

    def process(self, kind: Kind, offset: float = 0.0, readers: int = 1, begins: float = 0.0) -> None:
        """Add a process with `readers` threads; its clock is off by `offset` seconds; it starts after `begins`."""
        clock = VirtualClock(self, offset)
        store = QuotaStore(self.engine)
        self.processes.append(Quota(store, self.practice, kind, calls_per_minute=self.quota, clock=clock))
        for _ in range(readers):
            self._at(EPOCH + begins, len(self.processes) - 1, "ready")

    def run(self, seconds: float, latency: float = 2.0) -> None:
        """Advance the time; every reader calls, waits for the answer, and calls again."""
        end = self.now + seconds
        while self.events and self.events[0][0] < end:
            self.now, _, number, event = heapq.heappop(self.events)
            process = self.processes[number]
            if event == "ready":
                try:
                    late = process()
                except Blocked as blocked:
                    self._at(self.now + blocked.args[0] + 1e-3, number, "ready")
                    continue
                assert not late()
                self._at(self.now + self.random.random() * 0.99, number, "arrives")
            elif event == "arrives":
                self.calls[int(self.now // 60), process.kind] += 1
                self._at(self.now + latency, number, "answered")
            else:
                process.server_date(formatdate(self.now - self.random.random() * 0.99, usegmt=True))
                self._at(self.now, number, "ready")
        self.now = end

    def _at(self, when: float, process: int, event: str) -> None:
        heapq.heappush(self.events, (when, self.random.getrandbits(62), process, event))

    def by_minute(self) -> Counter[int]:
        """Return how many calls arrived in each of the server's minutes."""
        found: Counter[int] = Counter()
        for (minute, _), calls in self.calls.items():
            found[minute] += calls
        return found

    def by_kind(self) -> Counter[str]:
        """Return how many calls each kind of work made."""
        found: Counter[str] = Counter()
        for (_, kind), calls in self.calls.items():
            found[kind] += calls
        return found


@settings(max_examples=examples(12), derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    quota=st.integers(1, 40),
    processes=st.lists(
        st.tuples(st.sampled_from(KINDS), st.floats(-1.9, 1.9), st.integers(1, 6), st.floats(0, 90)),
        min_size=1,
        max_size=4,
    ),
    latency=st.floats(0.01, 5),
    seed=st.integers(0, 2**32),
)
def test_any_interleaving_of_processes_stays_within_the_budget(
    crm_engine: Engine,
    quota: int,
    processes: list[tuple[Kind, float, int, float]],
    latency: float,
    seed: int,
) -> None:
    world = World(crm_engine, quota, Random(seed))
    for kind, offset, readers, begins in processes:
        world.process(kind, offset, readers, begins)
    world.run(200, latency)
    assert world.calls, "no process called"
    assert max(world.by_minute().values()) <= quota


def test_the_whole_budget_is_used_while_there_is_work(crm_engine: Engine) -> None:
    world = World(crm_engine, 100, Random(7))
    for offset in (-1.5, 0.0, 1.5):
        world.process("scheduled", offset, readers=5)
    world.run(240)
    assert [world.by_minute()[int(EPOCH // 60) + minute] for minute in range(4)] == [98] * 4


def test_on_demand_work_gets_the_most_calls_and_every_kind_gets_some(crm_engine: Engine) -> None:
    world = World(crm_engine, 100, Random(7))
    for kind in KINDS:
        world.process(kind, readers=15)
    world.run(240)
    made = world.by_kind()
    assert made["on_demand"] > made["scheduled"] > made["backfill"] >= 4 * 9


def test_on_demand_work_gets_calls_in_a_minute_that_a_backfill_has_used(crm_engine: Engine) -> None:
    world = World(crm_engine, 100, Random(7))
    world.process("backfill", readers=20)
    world.run(30)
    assert 90 <= world.by_kind()["backfill"] <= 95
    world.process("on_demand", readers=1, begins=30)
    world.run(10)
    assert world.by_kind()["on_demand"] >= 3


def test_after_a_429_every_process_waits_for_the_next_minute(crm_engine: Engine) -> None:
    world = World(crm_engine, 100, Random(7))
    for _ in range(2):
        world.process("scheduled", readers=2)
    world.run(10)
    made = world.calls.total()
    assert made > 0
    world.processes[0].spent()
    world.run(45, latency=1.0)
    assert world.calls.total() <= made + 4, "only the calls that were under way"
    world.run(20)
    assert world.by_minute()[int(EPOCH // 60) + 1] > 0


def test_the_permits_of_a_process_that_died_are_lost_for_one_minute(crm_engine: Engine) -> None:
    world = World(crm_engine, 100, Random(7))
    QuotaStore(crm_engine).add(world.practice, int(EPOCH // 60), "scheduled", 10)
    world.process("scheduled", readers=15)
    world.run(120)
    assert [world.by_minute()[int(EPOCH // 60) + minute] for minute in range(2)] == [88, 98]


def test_a_permit_is_late_once_its_minute_is_nearly_over(crm_engine: Engine) -> None:
    world = World(crm_engine, 100, Random(7))
    world.process("scheduled")
    world.now += 30
    late = world.processes[0]()
    assert not late()
    world.now += 28
    assert late()

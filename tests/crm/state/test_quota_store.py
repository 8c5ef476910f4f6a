"""The shared counts of calls by practice, minute and kind."""

import subprocess
import sys

from sqlalchemy import Engine, text

from ecw.crm.state.quota_store import KEPT_MINUTES, QuotaStore

# Reserve one call at a time from a budget of 60 until nothing is left; print how many calls were reserved.
RESERVING = """
import sys
from ecw.crm.db.engine import engine_from_url
from ecw.crm.state.quota_store import QuotaStore
store = QuotaStore(engine_from_url(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
reserved = 0
while store.reserve("P1", 7, "scheduled", lambda before, used: min(1, 60 - sum(used.values()))):
    reserved += 1
print(reserved, flush=True)
"""


def test_counts_are_kept_by_practice_minute_and_kind(crm_engine: Engine) -> None:
    store = QuotaStore(crm_engine)
    assert store.reserve("P1", 7, "scheduled", lambda before, used: 5) == 5
    assert store.reserve("P1", 7, "backfill", lambda before, used: 0) == 0
    store.add("P1", 7, "scheduled", 2)
    assert store.counts("P1", 7) == {"scheduled": 7, "backfill": 0}
    assert store.counts("P2", 7) == store.counts("P1", 8) == {}


def test_a_reservation_gets_the_counts_of_this_minute_and_the_one_before(crm_engine: Engine) -> None:
    store = QuotaStore(crm_engine)
    store.add("P1", 6, "backfill", 3)
    store.add("P1", 7, "scheduled", 4)
    counts = []
    store.reserve("P1", 7, "scheduled", lambda before, used: counts.append((dict(before), dict(used))) or 1)
    assert counts == [({"backfill": 3}, {"scheduled": 4})]


def test_old_minutes_are_removed(crm_engine: Engine) -> None:
    store = QuotaStore(crm_engine)
    store.add("P1", 7, "scheduled", 1)
    store.add("P2", 7, "scheduled", 1)
    store.reserve("P1", 7 + KEPT_MINUTES + 1, "scheduled", lambda before, used: 1)
    with crm_engine.connect() as connection:
        rows = connection.execute(text("SELECT practice, minute FROM ecw_quota ORDER BY practice")).all()
    assert [tuple(row) for row in rows] == [("P1", 7 + KEPT_MINUTES + 1), ("P2", 7)]


def test_processes_that_reserve_at_once_never_exceed_the_budget(crm_engine: Engine, crm_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RESERVING, crm_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    reserved = 0
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        reserved += int(process.communicate(timeout=600)[0])
    assert reserved == 60
    assert QuotaStore(crm_engine).counts("P1", 7) == {"scheduled": 60}

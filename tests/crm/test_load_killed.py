"""Loads that are killed and loads that run at once, in separate processes, against a real database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ecw.models import Counts
from tests.fixtures.loads import a_reject, a_row, everything, load, locations

# Loads; prints "here" after the statement that begins with `stop`, and waits there until it is killed.
STOPPING = """
import sys, time
from sqlalchemy import event
from ecw.crm.db.engine import engine_from_url
from tests.fixtures.loads import a_reject, a_row, load

url, stop = sys.argv[1:]
engine = engine_from_url(url)

def stop_here(connection, cursor, statement, *rest):
    if statement.lstrip().startswith(stop):
        print("here", flush=True)
        time.sleep(600)

event.listen(engine, "after_cursor_execute", stop_here)
load(engine, [a_row(str(n)) for n in range(50)], [a_reject("r")])
print("here", flush=True)
time.sleep(600)
"""

# Loads once a line arrives on its standard input, and prints the counts.
WAITING = """
import sys
from ecw.crm.db.engine import engine_from_url
from tests.fixtures.loads import a_row, a_run, load

url, run_id, hour = sys.argv[1:]
engine = engine_from_url(url)
print("ready", flush=True)
sys.stdin.readline()
rows = [a_row(str(n), f"written at {hour}", int(hour)) for n in range(300)]
print(load(engine, rows, run=a_run(run_id, run_type="backfill")), flush=True)
"""


@contextmanager
def process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a Python process in the project's root; kill it at the end."""
    started = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    "stop",
    [
        "CREATE TEMPORARY",
        "INSERT INTO location",
        "INSERT INTO ecw_link",
        "INSERT INTO ecw_run",
        "nothing: it committed",
    ],
)
def test_the_retry_of_a_killed_load_loads_every_row_once(crm_engine: Engine, crm_url: str, stop: str) -> None:
    with process(STOPPING, crm_url, stop) as loading:
        assert read_line(loading) == "here"
        assert len(locations(crm_engine)) == (50 if "committed" in stop else 0)
        loading.kill()

    found = load(crm_engine, [a_row(str(n)) for n in range(50)], [a_reject("r")])

    assert found == Counts(fetched=51, rejected=1, inserted=50)
    assert len(locations(crm_engine)) == 50
    tables = everything(crm_engine)
    assert {name: len(rows) for name, rows in tables.items()} == {
        "location": 50,
        "ecw_link": 50,
        "ecw_reject": 1,
        "ecw_cursor": 1,
        "ecw_run": 1,
    }
    assert tables["ecw_run"][0]["inserted"] == 50


def test_two_processes_that_load_the_same_batch_load_it_once(crm_engine: Engine, crm_url: str) -> None:
    with process(WAITING, crm_url, "r1", "10") as one, process(WAITING, crm_url, "r1", "10") as two:
        printed_counts = run_at_once(one, two)
    assert printed_counts == [str(Counts(fetched=300, inserted=300))] * 2
    assert len(locations(crm_engine)) == 300


def test_backfill_runs_side_by_side_leave_the_newest_version(crm_engine: Engine, crm_url: str) -> None:
    with (
        process(WAITING, crm_url, "early", "9") as one,
        process(WAITING, crm_url, "late", "11") as two,
        process(WAITING, crm_url, "between", "10") as three,
    ):
        printed_counts = run_at_once(one, two, three)
    assert all(numbers.startswith("fetched 300, rejected 0") for numbers in printed_counts), printed_counts
    assert sum("inserted 300" in numbers for numbers in printed_counts) == 1
    assert set(locations(crm_engine).values()) == {"written at 11"}
    assert len(locations(crm_engine)) == 300
    assert {row["run_id"] for row in everything(crm_engine)["ecw_run"]} == {"early", "late", "between"}


def run_at_once(*processes: subprocess.Popen[str]) -> list[str]:
    """Wait until the processes are ready, start them at once, and return the last line that each prints."""
    assert [read_line(one) for one in processes] == ["ready"] * len(processes)
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return [read_line(one) for one in processes]

"""`make run`, as a new user starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ecw.resources import RESOURCES
from include.demo.airflow_api import wait_until
from tests.fixtures.demo import LONG, ROOT, STOP_S, Demo, start_demo

KINDS = ("created", "refused", "updated", "held", "unchanged")  # the push statuses of the demo's edits, in order


def rows(demo: Demo, query: str, *values: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(demo.folder / "crm.db")) as crm:
        return crm.execute(query, values).fetchall()


def numbers(table: str) -> dict[str, dict[str, int]]:
    """Read the table that the demo prints: resource -> column -> number."""
    lines = [line.split() for line in table.splitlines() if line.strip()]
    header = next(cells for cells in lines if cells[0] == "resource")
    return {
        cells[0]: {name: int(cell) for name, cell in zip(header, cells, strict=False) if re.fullmatch(r"\d+", cell)}
        for cells in lines
        if cells[0] in RESOURCES and len(cells) >= 8 and cells[1].isdecimal()
    }


def test_the_first_run_ends_with_a_table_whose_numbers_are_in_the_crm(demo: Demo) -> None:
    table = numbers(demo.printed)
    assert set(table) == set(RESOURCES)
    for resource, counts in table.items():
        assert counts["fetched"] > 0
        assert counts["fetched"] == counts["rejected"] + counts["inserted"] + counts["updated"] + counts["unchanged"]
        assert counts["inserted"] == counts["fetched"] - counts["rejected"]
        # Other tests pull into this CRM as well, so only the rows of the first run are counted.
        first = "select run_id from ecw_run where resource = ? order by started_at limit 1"
        inserted_rows = (
            f"select count(*) from {resource} r join ecw_link l on l.ecw_id = r.ecw_id and l.resource = ? "  # noqa: S608
            f"where l.inserted_run = ({first})"
        )
        assert rows(demo, inserted_rows, resource, resource) == [(counts["inserted"],)]


def second_run(demo: Demo, run_id: str) -> None:
    """Compare a later pull with the first one: all records are unchanged, except those of the demo's edits."""
    columns = "resource, fetched, rejected, inserted, updated, unchanged, coalesce(deferred_loaded, 0)"
    runs = rows(demo, f"select {columns} from ecw_run where run_id = ?", run_id)  # noqa: S608 - fixed names
    table = numbers(demo.printed)
    assert {row[0] for row in runs} == set(RESOURCES)
    assert rows(demo, "select distinct run_type from ecw_run where run_id = ?", run_id) == [("manual",)]
    for name, *counts in runs:
        fetched, rejected, inserted, updated, unchanged, waited = map(int, map(str, counts))
        resource = str(name)
        assert rejected + unchanged + inserted + updated == fetched
        # A rejected record stays rejected, unless it waited for a rejected patient; the demo's walk-in patient is new
        # to the CRM, and one patient was edited in eCW.
        if resource != "patient":
            assert inserted <= waited
            assert updated == 0
        # Insurance is fetched patient by patient within a day; encounters are those of the run's window; the demo's
        # edits have added patients.
        first, now = table[resource]["fetched"], fetched - waited
        if resource == "patient":
            assert now >= first
        elif resource in ("insurance", "encounter"):
            assert now <= first
        else:
            assert now == first


@pytest.mark.airflow
def test_the_printed_commands_work_in_a_shell(demo: Demo) -> None:
    # First the scheduled run after the first one ends.
    assert wait_until(lambda: ("running",) not in rows(demo, "select state from ecw_run"), LONG)
    (line,) = [line for line in demo.printed.splitlines() if line.startswith("ecw ")]
    command = f"{line.removeprefix('ecw').strip()} --json && ecw check >&2"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {one["resource"]: one["state"] for one in json.loads(done.stdout)} == dict.fromkeys(RESOURCES, "loaded")
    assert (demo.folder / "env").stat().st_mode & 0o077 == 0


def test_no_log_and_no_xcom_holds_a_name_of_the_population(demo: Demo) -> None:
    people = "select last_name from practitioner union select last_name from patient"
    names = {str(name) for (name,) in rows(demo, people) if name and len(str(name)) > 5}
    assert len(names) > 5
    with closing(sqlite3.connect(demo.folder / "airflow" / "airflow.db")) as airflow:
        passed = [str(value) for (value,) in airflow.execute("select value from xcom")]
    assert passed
    assert not [name for name in names if any(re.search(rf"\b{re.escape(name)}\b", value) for value in passed)]
    logs = [path for path in (demo.folder / "airflow" / "logs").rglob("*.log") if "dag_id=ecw_pull" in str(path)]
    assert logs
    for path in [*logs, *(demo.folder / "logs").glob("*.log")]:
        text = path.read_text(errors="replace")
        assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", text)], path.name


@pytest.mark.airflow
def test_ctrl_c_in_the_middle_of_start_up_leaves_no_process(tmp_path: Path) -> None:
    """tests/demo/test_processes.py tests other moments, and processes that ignore signals."""
    starting = start_demo(tmp_path, PATIENTS="5")
    log = tmp_path / "logs" / "api-server.log"
    assert wait_until(lambda: starting.process.poll() is not None or (log.exists() and log.stat().st_size > 0), LONG)
    starting.process.send_signal(signal.SIGINT)
    starting.process.wait(STOP_S)
    assert starting.left() == []
    assert "Traceback" not in starting.printed


def test_a_port_in_use_is_an_error_of_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = start_demo(tmp_path, AIRFLOW_PORT=str(port), ONCE="1")
        assert refused.process.wait(STOP_S) == 1
    (line,) = refused.printed.splitlines()
    assert line == f"make: port {port} is in use: stop its program, or choose another port: AIRFLOW_PORT=… make run"


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"PATIENTS": "many"}, "PATIENTS=many is not a number up to 10000000: leave it out for 200."),
        ({"AIRFLOW_PORT": "99999"}, "AIRFLOW_PORT=99999 is not a number up to 65535: leave it out for 8080."),
        (
            {"AIRFLOW_PORT": "20002", "SANDBOX_PORT": "20000"},
            "the sandbox uses the ports 20000 to 20002: choose another AIRFLOW_PORT or SANDBOX_PORT.",
        ),
    ],
)
def test_an_impossible_setting_is_an_error_of_one_line(tmp_path: Path, setting: dict[str, str], line: str) -> None:
    refused = start_demo(tmp_path, **setting)
    assert refused.process.wait(STOP_S) == 1
    assert refused.printed.splitlines() == [f"make: {line}"]


def test_an_old_python_is_an_error_of_one_line() -> None:
    done = subprocess.run(
        ["make", "run", "PYTHON=false"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=STOP_S
    )
    assert done.returncode != 0
    assert done.stderr.startswith("make: Python 3.11, 3.12 or 3.13 is needed; install one, or name it: ")


def test_a_ready_environment_is_left_as_it_is() -> None:
    before = {path: path.stat().st_mtime for path in (ROOT / ".venv").glob(".ready-*")}
    assert before, "`make test` makes the environment"
    done = subprocess.run(
        [sys.executable, "scripts/bootstrap.py", "run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert {path: path.stat().st_mtime for path in before} == before


def test_a_morning_s_edits_are_pushed_and_held_patients_are_printed(demo: Demo) -> None:
    """One edit of each kind; nothing of a patient is printed."""
    done = [line for line in demo.printed.splitlines() if re.match(r"\d+ +an?", line)]
    assert [bool(re.search(rf" {word} ", line)) for word, line in zip(KINDS, done, strict=True)] == [True] * len(KINDS)
    assert [line.endswith("200 OK") for line in done] == [word in ("created", "updated") for word in KINDS]
    waits = demo.printed.partition("Waits for a person:")[2].partition("Console")[0]
    for word in ("rejected", "held match", "conflict", "program Unassigned"):
        assert word in waits
    address = re.search(r"^Console +(\S+)$", demo.printed, re.MULTILINE)
    assert address
    assert address[1] == f"{demo.airflow_url}/plugin/emr-sync/overview"
    for value in ("Fairweather", "Merriweather", "Lightfoot", "5185550177"):
        assert value not in demo.printed

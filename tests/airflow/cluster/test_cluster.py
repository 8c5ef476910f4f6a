"""`make run-cluster`: after the kill of a worker every record agrees, and no process is left when the cluster ends."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from include.demo.airflow_api import wait_until
from tests.fixtures.demo import ROOT, STOP_S, Demo
from tests.fixtures.guardian import end_with_this_process

pytestmark = pytest.mark.cluster
PORTS = 10
JOURNEY_S = 1700


def free_ports() -> int:
    """Return the first of some free ports in a row, below those that the system and `fixtures.demo` hand out."""
    while True:
        first = random.randrange(12_000, 20_000, PORTS)
        with ExitStack() as probes:
            try:
                for port in range(first, first + PORTS):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first


@contextmanager
def cluster(folder: Path, **environment: str) -> Iterator[Demo]:
    """Start the cluster; after the block neither a process nor a file of the databases may be left."""
    port = free_ports()
    # not below the test's own folder: the path of a Unix socket has to be short
    databases = Path(tempfile.mkdtemp(prefix="ecw-t-"))
    env = {**os.environ, "RUN_DIR": str(folder), "CLUSTER_PORT": str(port), "TZ": "UTC", "TMPDIR": str(databases)}
    folder.mkdir()
    with (folder.parent / "printed").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "include.cluster"],
            cwd=ROOT,
            env=env | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end_with_this_process(process.pid)
    started = Demo(folder, port, port, process)
    try:
        yield started
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(STOP_S)
        left = [path.name for path in databases.glob("ecw-cluster-pg-*")]
        shutil.rmtree(databases)
    assert started.left() == []
    assert left == []


def wait_for(started: Demo, text: str) -> None:
    """Wait until the cluster has printed the text; fail with its output if it ends before, or does not print it."""
    printed = started.folder.parent / "printed"
    wait_until(lambda: text in printed.read_text() or started.process.poll() is not None, JOURNEY_S)
    assert text in printed.read_text(), printed.read_text()


def stop(started: Demo, how: signal.Signals) -> None:
    """Send a signal to the cluster, and wait for its exit code 130; `cluster` checks that nothing is left."""
    started.process.send_signal(how)
    assert started.process.wait(STOP_S) == 130


# CI runs the short one: one start, no backfill.
SIZES = [
    pytest.param({"PATIENTS": "6", "SHORT": "1"}, id="short"),
    pytest.param({"PATIENTS": "12", "SHORT": "0"}, id="whole", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("size", SIZES)
def test_every_record_agrees_although_a_worker_is_killed(size: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    with cluster(folder, SERVE="1", **size) as started:
        wait_for(started, "Serving until Ctrl-C.")
        stop(started, signal.SIGTERM)
    output = (tmp_path / "printed").read_text()
    assert "worker-2 is dead" in output
    assert output.splitlines().count("Every record agrees.") == 1
    assert ("Backfilled two intervals" in output) == (size["SHORT"] == "0")
    homes = {path.name for path in (folder / "home").iterdir()}
    assert homes == {"control", "worker-1", "worker-2"}
    stray = [path for worker in ("worker-1", "worker-2") for path in (folder / "work" / worker).rglob("*")]
    assert stray == [], "a worker keeps nothing in its working folder"


WHEN = [
    pytest.param(signal.SIGINT, "Starting PostgreSQL", id="Ctrl-C while it starts"),
    pytest.param(signal.SIGTERM, "worker-2 is dead", id="TERM while it pulls"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "after"), WHEN)
def test_nothing_is_left_when_it_is_stopped_in_the_middle(how: signal.Signals, after: str, tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", PATIENTS="6", SHORT="1") as started:
        wait_for(started, after)
        if how == signal.SIGINT:
            last = tmp_path / "cluster" / "logs" / "worker-2.log"
            assert wait_until(lambda: last.exists() or started.process.poll() is not None, JOURNEY_S)
        stop(started, how)

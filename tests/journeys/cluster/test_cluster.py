"""`make run-cluster` as its user sees it: a worker dies, every record agrees, and nothing is left however it ends."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
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
    """Return the first of some free ports in a row, below those that the system hands out by itself."""
    while True:
        first = random.randrange(20_000, 32_000, PORTS)
        with ExitStack() as probes:
            try:
                for port in range(first, first + PORTS):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first


@contextmanager
def cluster(folder: Path, **environment: str) -> Iterator[Demo]:
    """Start the cluster; nothing of it is left after the block."""
    port = free_ports()
    env = {**os.environ, "RUN_DIR": str(folder), "CLUSTER_PORT": str(port), "TZ": "UTC", **environment}
    printed = folder.with_suffix(".printed")
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "include.cluster"],
            cwd=ROOT,
            env=env,
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
    assert started.left() == []


def test_every_record_agrees_although_a_worker_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    with cluster(folder, PATIENTS="12", SHORT="1") as started:
        code = started.process.wait(JOURNEY_S)
        said = folder.with_suffix(".printed").read_text()
        assert code == 0, said
    assert "worker-2 is dead" in said
    assert said.splitlines().count("Every record agrees.") == 1
    homes = {path.name for path in (folder / "home").iterdir()}
    assert homes == {"control", "worker-1", "worker-2"}
    stray = [path for worker in ("worker-1", "worker-2") for path in (folder / "work" / worker).rglob("*")]
    assert stray == [], "a worker keeps nothing in its working folder"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_it_is_stopped_in_the_middle(how: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    with cluster(folder, PATIENTS="12") as started:
        last = folder / "logs" / "worker-2.log"
        assert wait_until(lambda: last.exists() or started.process.poll() is not None, JOURNEY_S)
        assert started.process.poll() is None, folder.with_suffix(".printed").read_text()
        started.process.send_signal(how)
        assert started.process.wait(STOP_S) == 130

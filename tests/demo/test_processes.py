"""Whatever signal ends the demo, none of its processes is left, even if they ignore signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.fixtures.guardian import end_with_this_process

ROOT = Path(__file__).resolve().parents[2]
LONG = 300  # seconds; only a process that hangs reaches this deadline
DEMO = """
import sys, time
from pathlib import Path
from include.demo.demo import run
from include.demo.processes import Processes

STUBBORN = (
    "import signal, time; [signal.signal(number, signal.SIG_IGN) for number in (1, 2, 15)]; "
    "print('up', flush=True); time.sleep(3600)"
)
# Like Airflow's workers: in a session of its own, and an orphan, because its parent has ended.
WORKER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
with Processes(Path(sys.argv[1])) as processes:
    try:
        for name, command in {
            "obedient": ["-c", "print('up', flush=True); import time; time.sleep(3600)"],
            "stubborn": ["-c", STUBBORN],
            "parent": ["-c", WORKER, STUBBORN],
        }.items():
            processes.start(name, [sys.executable, *command], {})
        while not all("up" in processes.log(name).read_text() for name in ("obedient", "stubborn", "parent")):
            time.sleep(0.05)
        # In the middle of a command that the demo waits for, like `airflow db migrate`.
        command = "import os, time; print('ready', os.getpid(), flush=True); time.sleep(3600)"
        run([sys.executable, "-c", command], {}, processes.log("command"))
    except KeyboardInterrupt:
        print("Stopping", flush=True)
"""


@pytest.mark.journey
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    with (tmp_path / "printed").open("wb") as printed:
        demo = subprocess.Popen(
            [sys.executable, "-c", DEMO, str(tmp_path)],
            cwd=ROOT,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    command, own = tmp_path / "command.log", psutil.Process(demo.pid)
    end_with_this_process(demo.pid)
    while not (command.exists() and "ready" in command.read_text()):
        assert demo.poll() is None, (tmp_path / "printed").read_text()
    family = own.children(recursive=True)
    assert len(family) == 5

    demo.send_signal(number)
    demo.send_signal(signal.SIGINT)  # a second Ctrl-C does not interrupt the shutdown

    assert demo.wait(LONG) == 0, (tmp_path / "printed").read_text()
    assert (tmp_path / "printed").read_text() == "Stopping\n"
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []

"""An interrupted test run leaves no process: no sandbox, no PostgreSQL, no worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
LONG = 600  # seconds: a deadline, which only a hang reaches
A_TEST = """
import time
from pathlib import Path

def test_that_does_not_end(sandbox, postgresql_server, tmp_path):
    Path({ready!r}).touch()
    time.sleep(3600)
"""


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that have the folder in arguments, environment or working directory."""

    def belongs(process: psutil.Process) -> bool:
        try:
            texts = [*process.cmdline(), process.cwd(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        return process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in text for text in texts)

    return [" ".join(process.cmdline()) for process in psutil.process_iter() if belongs(process)]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder with a path that is short enough for PostgreSQL's socket."""
    with tempfile.TemporaryDirectory(prefix="ecw-i-") as name:
        yield Path(name)


@pytest.mark.journey
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL],
    ids=lambda number: number.name,
)
def test_an_interrupted_run_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    test, ready = folder / "test_endless.py", folder / "ready"
    test.write_text(A_TEST.format(ready=str(ready)))
    options = [*("-c", ROOT / "pyproject.toml", "--rootdir", ROOT), *("-p", "tests.conftest"), *("-n", "1"), test]
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TEST_"))}
    with (folder / "printed").open("wb") as printed:
        run = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options],
            cwd=ROOT,
            env=bare | {"TMPDIR": str(folder)},
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    until(lambda: ready.exists() or run.poll() is not None)
    assert run.poll() is None, (folder / "printed").read_text()
    assert any("include.sandbox" in line for line in processes_of(folder))
    assert any("postgres" in line for line in processes_of(folder))

    run.send_signal(number)  # to the main process only: it must end all others

    run.wait(LONG)
    until(lambda: processes_of(folder) == [])


@pytest.mark.parametrize("target", ["run", "run-cluster", "test", "test-airflow", "test-all", "test-cluster", "bench"])
def test_a_signal_to_make_ends_its_child_processes(target: str) -> None:
    """`make` passes a signal to its own child only: without `exec`, only the shell in between would end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "--dry-run", target, f"PYTHON={sys.executable}"]
    commands = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert commands[-1].startswith("exec ")

"""Start the demo's processes, and end all of them and their children."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import psutil

GRACE_S = 8.0
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Processes:
    """Starts processes inside a `with`. When the `with` ends, for whatever reason, they and all their children end."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        # The children have sessions of their own, so a Ctrl-C does not reach them; this process ends them.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        if sys.platform == "linux":
            # Airflow starts workers in sessions of their own and leaves them behind when it is killed. A subreaper
            # becomes their parent and so finds them. (setproctitle has overwritten their environment.)
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.stop()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], folder: Path | None = None) -> None:
        """Start a process that logs to `<name>.log`, in a working folder of its own if one is given."""
        with (self._logs / f"{name}.log").open("wb") as log:
            self._started[name] = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
            )

    def family(self, name: str) -> list[psutil.Process]:
        """Return a process and all its descendants."""
        process = psutil.Process(self._started[name].pid)
        return [process, *process.children(recursive=True)]

    def kill(self, name: str) -> None:
        """Kill a process and its descendants with SIGKILL, like the loss of a machine; `ended` does not report it."""
        family = self.family(name)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._started.pop(name).wait()

    def ended(self) -> str | None:
        """Return the name of a process that has ended by itself, None if there is none."""
        return next((name for name, process in self._started.items() if process.poll() is not None), None)

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self._logs / f"{name}.log"

    def stop(self) -> None:
        """Terminate all processes, then kill the remaining ones until none is left."""
        family = psutil.Process().children(recursive=True)
        for process in self._started.values():
            process.terminate()
        psutil.wait_procs(family, timeout=GRACE_S)
        while alive := [
            process for process in _with_new_children(family) if process.is_running() and not _is_dead(process)
        ]:
            for process in alive:
                process.kill()
            psutil.wait_procs(alive, timeout=1)
            family = alive
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue  # an ended child stays in the process table until its status is read


def _with_new_children(family: list[psutil.Process]) -> set[psutil.Process]:
    return {*family, *psutil.Process().children(recursive=True)}


def _is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

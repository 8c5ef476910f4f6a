"""Processes that the demo starts, and their sure end."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import psutil

# A name in the environment that children inherit. Airflow's scheduler starts its workers in sessions of
# their own, which a signal to the process group does not reach; the environment always tells.
MARK = "ECW_DEMO"
GRACE_S = 8.0


class Processes:
    """Start processes inside a `with`; leaving it, however it is left, ends them and all their children."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._mark = uuid.uuid4().hex
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        # In a session of their own the children get no Ctrl-C from the terminal: only we end them.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.stop()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a process that logs to `<name>.log`."""
        with (self._logs / f"{name}.log").open("wb") as log:
            self._started[name] = subprocess.Popen(
                command,
                env={**env, MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self) -> str | None:
        """Return the name of a process that has ended by itself, if any has."""
        return next((name for name, process in self._started.items() if process.poll() is not None), None)

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self._logs / f"{name}.log"

    def stop(self) -> None:
        """Ask all processes to end, then end those that have not, and repeat until none is left."""
        for process in self._started.values():
            if process.poll() is None:
                process.terminate()
        psutil.wait_procs(self._alive(), timeout=GRACE_S)
        while alive := self._alive():
            for process in alive:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(alive, timeout=1)
        for process in self._started.values():
            process.wait()

    def _alive(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return (
                process.pid != os.getpid()
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(MARK) == self._mark
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

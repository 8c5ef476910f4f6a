"""One worker at a time pushes a patient, whatever process or machine it runs on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from sqlalchemy import Engine, func, select

from ecw.push.intents import Place


@contextmanager
def alone(engine: Engine, place: Place, crm_id: str) -> Iterator[bool]:
    """Say whether nobody else is pushing this record, and keep it so inside the block; a death lets go of it at once.

    PostgreSQL: an advisory lock of a session.  SQLite: a lock on one byte of a file beside the database, which all
    processes are near to anyway.
    """
    name = "\0".join(("ecw push", place.practice, place.resource, crm_id))
    if engine.dialect.name == "postgresql":
        lock = func.hashtextextended(name.replace("\0", " "), 0)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            mine = bool(connection.execute(select(func.pg_try_advisory_lock(lock))).scalar())
            try:
                yield mine
            finally:
                if mine:
                    connection.execute(select(func.pg_advisory_unlock(lock)))
        return
    byte = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
    locks = _locks_of(Path(f"{engine.url.database}-push-lock"))
    mine = locks.take(byte)
    try:
        yield mine
    finally:
        if mine:
            locks.release(byte)


@contextmanager
def in_turn(engine: Engine, place: Place, name: str, seconds: float = 300.0) -> Iterator[bool]:
    """Wait until nobody else is at what `name` stands for; False where the wait was too long."""
    end = time.monotonic() + seconds
    while True:
        with alone(engine, place, name) as mine:
            if mine or time.monotonic() > end:
                yield mine
                return
        time.sleep(0.1)


class _Locks:
    """Locks on bytes of one file.  The file stays open: closing it would let go of all locks of this process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._mine: set[int] = set()  # threads of one process do not keep each other out by POSIX locks
        self._guard = Lock()

    def take(self, byte: int) -> bool:
        with self._guard:
            if byte in self._mine:
                return False
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            except OSError:
                return False
            self._mine.add(byte)
            return True

    def release(self, byte: int) -> None:
        with self._guard:
            self._mine.discard(byte)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)


_files: dict[tuple[int, Path], _Locks] = {}
_opening = Lock()


def _locks_of(path: Path) -> _Locks:
    with _opening:
        key = (os.getpid(), path.resolve())  # a forked child does not inherit the locks
        if key not in _files:
            _files[key] = _Locks(path)
        return _files[key]

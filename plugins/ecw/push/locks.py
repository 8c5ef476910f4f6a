"""Locks: only one worker at a time, in any process on any machine, pushes a patient.

A lock is a claim in a row of ecw_claim, with a token.  A claim expires after LEASE seconds and is renewed whenever its
holder writes.  A worker that claims an expired row, or a dead holder's row, gets a higher token.  Each transaction of a
holder first compares its token, also the one right before a request, so that a former holder's writes are refused
(ClaimLost).  The locks do not depend on a database session, which can be lost, or shared by a proxy such as PgBouncer.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import getnode

from sqlalchemy import Connection, Engine, func, or_, select, update

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_claim
from ecw.crm.db.upsert import insert
from ecw.push.intents import Place

LEASE = 60.0  # seconds until a claim expires unless its holder renews it
c = ecw_claim.c


class ClaimLost(Exception):
    """Another worker has claimed the record: this one may neither write nor send any more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """This worker's claim on a record; it is valid until another worker gets a higher token."""

    place: Place
    name: str
    token: int

    def keep(self, connection: Connection, seconds: float = LEASE) -> None:
        """Check and renew the claim in the caller's transaction; no other worker can take it over before the commit.

        Raises ClaimLost.
        """
        own = update(ecw_claim).where(*_is(self.place, self.name), c.token == self.token)
        until = _now(connection) + timedelta(seconds=seconds)
        if connection.execute(own.values(until=until)).rowcount != 1:
            raise ClaimLost(self.name)

    def release(self, engine: Engine) -> None:
        """Release the claim; the row keeps its token, so that no token is used twice."""
        with engine.begin() as connection:
            own = update(ecw_claim).where(*_is(self.place, self.name), c.token == self.token)
            connection.execute(own.values(holder=None))


@contextmanager
def alone(engine: Engine, place: Place, crm_id: str) -> Iterator[Claim | None]:
    """Claim a record for the block; yield None if another worker has it."""
    claim = _take(engine, place, crm_id)
    try:
        yield claim
    finally:
        if claim is not None:
            claim.release(engine)


@contextmanager
def in_turn(engine: Engine, place: Place, what: str, seconds: float = 300.0) -> Iterator[Claim | None]:
    """Wait for the claim on a text, of which only the digest is stored; yield None after `seconds`."""
    name, end = hashlib.sha256(what.encode()).hexdigest(), time.monotonic() + seconds
    while True:
        with alone(engine, place, name) as claim:
            if claim is not None or time.monotonic() > end:
                yield claim
                return
        time.sleep(0.1)


def _take(engine: Engine, place: Place, name: str) -> Claim | None:
    with reading(engine) as connection:  # read first: on SQLite, a waiting worker must not block the writers
        row = connection.execute(select(ecw_claim).where(*_is(place, name))).mappings().one_or_none()
        if row is not None and row["until"] > _now(connection) and not _is_dead(row["holder"]):
            return None
    with engine.begin() as connection:
        until = _now(connection) + timedelta(seconds=LEASE)
        if row is None:
            values = place.key(name)
            values["name"] = values.pop("crm_id")
            first = insert(connection, ecw_claim).values(**values, token=1, holder=_me(), until=until)
            token = connection.scalar(first.on_conflict_do_nothing().returning(c.token))
        else:  # only if the row is unchanged: a faster worker has changed the token
            free = or_(c.until == row["until"], c.holder.is_(None))
            take_over = update(ecw_claim).where(*_is(place, name), c.token == row["token"], free)
            values = {"token": row["token"] + 1, "holder": _me(), "until": until}
            token = connection.scalar(take_over.values(**values).returning(c.token))
    return None if token is None else Claim(place, name, token)


def _is(place: Place, name: str) -> tuple[Any, ...]:
    return c.practice == place.practice, c.resource == place.resource, c.name == name


def _now(connection: Connection) -> datetime:
    """Return the time of the clock that all workers share: the database's, on SQLite the machine's."""
    if connection.dialect.name != "postgresql":
        return datetime.now(UTC)
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _me() -> str:
    return f"{_machine()} {os.getpid()} {_began(os.getpid())}"


def _is_dead(holder: str | None) -> bool:
    """Return True if there is no holder, or if it was a process of this machine that has ended.

    A holder on another machine counts as alive.
    """
    if holder is None:
        return True
    machine, pid, began = holder.rsplit(" ", 2)
    if machine != _machine():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _began(int(pid)) != began


def _began(pid: int) -> str:
    """Return a process's start time in ticks since the machine's boot; "dead" if it has ended, "-" if unknown."""
    try:
        # After the name in parentheses: state, …, and the start time as the 20th (proc_pid_stat(5)).
        state, *more = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "-"
    return "dead" if state in "ZX" else more[18]


@cache
def _machine() -> str:
    """Return what identifies this machine since its boot, and this container among the machine's containers."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    since = boot.read_text().strip() if boot.exists() else "-"
    inside = namespace.readlink() if namespace.is_symlink() else "-"
    return f"{socket.gethostname()} {getnode():x} {since} {inside}"

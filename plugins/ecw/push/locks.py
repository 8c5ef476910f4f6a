"""One worker at a time pushes a patient, whatever process or machine it runs on: a claim in a row, with a token.

A claim holds for a while and is renewed whenever its holder writes.  Whoever claims after it has run out, or after its
holder has died, has a higher token; what the earlier holder still wants to write is refused (ClaimLost), because each
of its transactions compares the token first, the one right before a request too.  Nothing of it rests on a session of
the database: not on one that was lost, nor on one that a proxy such as PgBouncer lends to somebody else.
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

LEASE = 60.0  # seconds that a claim holds without a word of its holder
c = ecw_claim.c


class ClaimLost(Exception):
    """Another worker has the record now: nothing more of this one may be written, or sent."""


@dataclass(frozen=True, slots=True)
class Claim:
    """This worker has a record, as long as nobody has a higher token."""

    place: Place
    name: str
    token: int

    def keep(self, connection: Connection, seconds: float = LEASE) -> None:
        """Make sure of the claim in the caller's transaction, and renew it: until the commit nobody can take it over.

        Raises ClaimLost.
        """
        mine = update(ecw_claim).where(*_is(self.place, self.name), c.token == self.token)
        until = _now(connection) + timedelta(seconds=seconds)
        if connection.execute(mine.values(until=until)).rowcount != 1:
            raise ClaimLost(self.name)

    def release(self, engine: Engine) -> None:
        """Let the next one have it; the token stays, so that it is never given twice."""
        with engine.begin() as connection:
            mine = update(ecw_claim).where(*_is(self.place, self.name), c.token == self.token)
            connection.execute(mine.values(holder=None))


@contextmanager
def alone(engine: Engine, place: Place, crm_id: str) -> Iterator[Claim | None]:
    """Claim a record for the block; None where another worker has it."""
    claim = _take(engine, place, crm_id)
    try:
        yield claim
    finally:
        if claim is not None:
            claim.release(engine)


@contextmanager
def in_turn(engine: Engine, place: Place, what: str, seconds: float = 300.0) -> Iterator[Claim | None]:
    """Wait until nobody else is at `what`, of which only the digest is kept; None where the wait was too long."""
    name, end = hashlib.sha256(what.encode()).hexdigest(), time.monotonic() + seconds
    while True:
        with alone(engine, place, name) as claim:
            if claim is not None or time.monotonic() > end:
                yield claim
                return
        time.sleep(0.1)


def _take(engine: Engine, place: Place, name: str) -> Claim | None:
    with reading(engine) as connection:  # on SQLite those who wait must not keep those who write waiting
        found = connection.execute(select(ecw_claim).where(*_is(place, name))).mappings().one_or_none()
        if found is not None and found["until"] > _now(connection) and not _is_dead(found["holder"]):
            return None
    with engine.begin() as connection:
        until = _now(connection) + timedelta(seconds=LEASE)
        if found is None:
            values = place.key(name)
            values["name"] = values.pop("crm_id")
            first = insert(connection, ecw_claim).values(**values, token=1, holder=_me(), until=until)
            token = connection.scalar(first.on_conflict_do_nothing().returning(c.token))
        else:  # as it was found: whoever was quicker has changed the token
            free = or_(c.until == found["until"], c.holder.is_(None))
            next_one = update(ecw_claim).where(*_is(place, name), c.token == found["token"], free)
            values = {"token": found["token"] + 1, "holder": _me(), "until": until}
            token = connection.scalar(next_one.values(**values).returning(c.token))
    return None if token is None else Claim(place, name, token)


def _is(place: Place, name: str) -> tuple[Any, ...]:
    return c.practice == place.practice, c.resource == place.resource, c.name == name


def _now(connection: Connection) -> datetime:
    """Return the time by the one clock that all workers share: the database's, on SQLite the machine's."""
    if connection.dialect.name != "postgresql":
        return datetime.now(UTC)
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found


def _me() -> str:
    return f"{_machine()} {os.getpid()} {_began(os.getpid())}"


def _is_dead(holder: str | None) -> bool:
    """Return True if nobody holds it, or a process of this machine that is no more; of other machines nobody knows."""
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
    """Return when a process began, in ticks since the machine did; of a dead one "dead", "-" where nobody knows."""
    try:
        # After the name in parentheses: state, …, and the start time as the 20th (proc_pid_stat(5)).
        state, *more = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "-"
    return "dead" if state in "ZX" else more[18]


@cache
def _machine() -> str:
    """Return what tells this machine, since it was started, from others, and a container from its neighbours."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    since = boot.read_text().strip() if boot.exists() else "-"
    inside = namespace.readlink() if namespace.is_symlink() else "-"
    return f"{socket.gethostname()} {getnode():x} {since} {inside}"

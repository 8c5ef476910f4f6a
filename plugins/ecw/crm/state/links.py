"""The links: which eCW records the CRM has, and what they were made from."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, Select, Table, and_, cast, exists, func, or_, select

from ecw.crm.db.business_table import key_of
from ecw.crm.db.engine import reading
from ecw.crm.db.enums import DELETED, RejectState
from ecw.crm.db.tables import ecw_cursor, ecw_deferred_row, ecw_link, ecw_reject, ecw_run

_CHUNK = 5_000  # rows fetched at a time
_ASKED = 1_000  # ids in one statement: SQLite and PostgreSQL both take that many


class Known:
    """What the links were made from, for change detection: about 200 bytes a link, whatever its id's length."""

    def __init__(self) -> None:
        self._versions: dict[bytes, float] = {}  # seconds since 1970

    def add(self, ecw_id: str, content_hash: str, mapping_version: str, source_version: datetime | None) -> None:
        """Note one link."""
        found = -math.inf if source_version is None else source_version.timestamp()
        self._versions[_digest(ecw_id, content_hash, mapping_version)] = found

    def unchanged(self, ecw_id: str, content_hash: str, mapping_version: str) -> bool:
        """Return True if the CRM's row was made from this very content by this very mapping."""
        return _digest(ecw_id, content_hash, mapping_version) in self._versions

    def older(self, ecw_id: str, content_hash: str, mapping_version: str, version: str | None) -> bool:
        """Return True if the link of an unchanged record was made from a version older than this one (ISO 8601)."""
        if version is None:
            return False
        found = self._versions[_digest(ecw_id, content_hash, mapping_version)]
        return found < datetime.fromisoformat(version).timestamp()

    def __len__(self) -> int:
        return len(self._versions)


def known(
    engine: Engine, practice: str, resource: str, *, table: str | None = None, run_id: str | None = None
) -> Known:
    """Return what the links of a resource were made from; of `table`, where it is given, only those whose row is there.

    Left out are those that a run must look at although they are as they were: what the run `run_id` itself made or
    changed, so that a run that is cleared still says what it did; and those of which another version was refused or
    waits, so that a record that is as it was before leaves the quarantine.
    """
    of_this_run = func.coalesce(ecw_link.c.inserted_run == run_id, False) | func.coalesce(
        ecw_link.c.updated_run == run_id, False
    )
    statement = select(ecw_link.c.ecw_id, ecw_link.c.hash, ecw_link.c.mapping_version, ecw_link.c.source_version).where(
        ecw_link.c.practice == practice,
        ecw_link.c.resource == resource,
        ~exists().where(*_of_link(ecw_reject), ecw_reject.c.state != RejectState.RESOLVED, ecw_reject.c.step != "push"),
        ~exists().where(*_of_link(ecw_deferred_row)),
    )
    if run_id is not None:
        statement = statement.where(~of_this_run)
    found = Known()
    with reading(engine) as connection:
        if table is not None:
            key = key_of(connection, table)
            statement = statement.join(key.table, key == cast(ecw_link.c.crm_id, key.type))
        for link in connection.execution_options(yield_per=_CHUNK).execute(statement):
            found.add(*link)
    return found


def ids(engine: Engine, practice: str, resource: str) -> Iterator[str]:
    """Yield the eCW ids of a resource: those in use before the marked ones, the last changed first."""
    version = ecw_link.c.source_version
    statement = (
        select(ecw_link.c.ecw_id)
        .where(ecw_link.c.practice == practice, ecw_link.c.resource == resource)
        .order_by(ecw_link.c.status.is_not(None), version.is_(None), version.desc(), ecw_link.c.ecw_id)
    )
    with reading(engine) as connection:
        yield from connection.execution_options(yield_per=_CHUNK).scalars(statement)


def newest(engine: Engine, practice: str, resource: str, number: int) -> list[tuple[str, datetime]]:
    """Return so many eCW ids whose record changed last, each with when, the newest first; marked ones are left out."""
    link = ecw_link.c
    statement = select(link.ecw_id, link.source_version).where(
        link.practice == practice, link.resource == resource, link.status.is_(None), link.source_version.is_not(None)
    )
    with reading(engine) as connection:
        found = connection.execute(statement.order_by(link.source_version.desc(), link.ecw_id).limit(number))
        return [(ecw_id, changed) for ecw_id, changed in found]


def of_run(engine: Engine, practice: str, resource: str, run_id: str) -> list[str]:
    """Return the eCW ids of a resource that a run made or changed."""
    statement = select(ecw_link.c.ecw_id).where(
        ecw_link.c.practice == practice,
        ecw_link.c.resource == resource,
        or_(ecw_link.c.inserted_run == run_id, ecw_link.c.updated_run == run_id),
    )
    with reading(engine) as connection:
        return list(connection.scalars(statement.order_by(ecw_link.c.ecw_id)))


def merged(engine: Engine, practice: str, resource: str) -> set[str]:
    """Return the eCW ids of a resource that eCW has merged into others."""
    statement = select(ecw_link.c.ecw_id).where(
        ecw_link.c.practice == practice, ecw_link.c.resource == resource, ecw_link.c.status == "merged"
    )
    with reading(engine) as connection:
        return set(connection.scalars(statement))


def changed_since(engine: Engine, practice: str, resource: str, follower: str) -> list[str]:
    """Return the eCW ids of a resource that runs made or changed since the `follower`'s cursor was moved.

    The run that moved it read what it had loaded by then itself. None before the follower's first look.
    """
    runs = _runs_since(practice, resource, follower)
    statement = (
        select(ecw_link.c.ecw_id)
        .where(
            ecw_link.c.practice == practice,
            ecw_link.c.resource == resource,
            or_(ecw_link.c.inserted_run.in_(runs), ecw_link.c.updated_run.in_(runs)),
        )
        .order_by(ecw_link.c.ecw_id)
    )
    with reading(engine) as connection:
        return list(connection.scalars(statement))


def left_since(
    engine: Engine, practice: str, resource: str, follower: str, run_id: str
) -> list[tuple[str, str | None]]:
    """Return the eCW ids that the run, or one since the `follower`'s cursor was moved, found merged or gone.

    Each with the id of the record that eCW merged it into, where it says so; the merged ones first.
    """
    link, runs = ecw_link.c, _runs_since(practice, resource, follower)
    statement = (
        select(link.ecw_id, link.status_reason)
        .where(
            link.practice == practice,
            link.resource == resource,
            link.status.in_(["merged", DELETED]),
            or_(link.last_seen_run == run_id, link.last_seen_run.in_(runs)),
        )
        .order_by(link.status, link.ecw_id)
    )
    with reading(engine) as connection:
        return [(ecw_id, _into(reason)) for ecw_id, reason in connection.execute(statement)]


def _into(reason: str | None) -> str | None:
    found = re.search(r"^into (?:.*/)?[A-Z][A-Za-z]*/([A-Za-z0-9.-]{1,64})$", reason or "")
    return found[1] if found else None


def _runs_since(practice: str, resource: str, follower: str) -> Select[str]:
    """Select the runs of a resource that ended since the `follower`'s cursor was moved, less the one that moved it."""
    its, moved = ecw_run.alias(), ecw_cursor.c
    ended = func.coalesce(ecw_run.c.ended_at, ecw_run.c.started_at)
    return (
        select(ecw_run.c.run_id)
        .join(ecw_cursor, and_(moved.practice == ecw_run.c.practice, moved.resource == follower))
        .outerjoin(
            its, and_(its.c.practice == practice, its.c.run_id == moved.run_id, its.c.resource == moved.resource)
        )
        .where(
            ecw_run.c.practice == practice,
            ecw_run.c.resource == resource,
            or_(
                ended > moved.moved_at,
                and_(ecw_run.c.run_id != moved.run_id, ended > func.coalesce(its.c.started_at, moved.moved_at)),
            ),
        )
    )


def among(engine: Engine, practice: str, resource: str, asked: Collection[str]) -> set[str]:
    """Return those of the eCW ids that are linked."""
    wanted, found = sorted(asked), set[str]()
    with reading(engine) as connection:
        for start in range(0, len(wanted), _ASKED):
            statement = select(ecw_link.c.ecw_id).where(
                ecw_link.c.practice == practice,
                ecw_link.c.resource == resource,
                ecw_link.c.ecw_id.in_(wanted[start : start + _ASKED]),
            )
            found.update(connection.scalars(statement))
    return found


def _of_link(table: Table) -> list[ColumnElement[bool]]:
    return [table.c[name] == ecw_link.c[name] for name in ("practice", "resource", "ecw_id")]


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()

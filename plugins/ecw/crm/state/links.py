"""Queries of the links: which eCW records the CRM has, and from which content their rows were made."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, Select, Table, and_, cast, exists, func, or_, select

from ecw.crm.db.business_table import key_of
from ecw.crm.db.engine import reading
from ecw.crm.db.enums import LinkStatus, RejectState, RejectStep
from ecw.crm.db.tables import ecw_cursor, ecw_deferred_row, ecw_link, ecw_reject, ecw_run

_CHUNK = 5_000  # rows fetched at a time
_IDS_PER_STATEMENT = 1_000  # SQLite and PostgreSQL both take that many parameters


class Known:
    """The content of the linked records, for change detection: about 200 bytes a link, whatever its id's length."""

    def __init__(self) -> None:
        self._versions: dict[bytes, float] = {}  # seconds since 1970

    def add(self, ecw_id: str, content_hash: str, mapping_version: str, source_version: datetime | None) -> None:
        """Note one link."""
        found = -math.inf if source_version is None else source_version.timestamp()
        self._versions[_digest(ecw_id, content_hash, mapping_version)] = found

    def unchanged(self, ecw_id: str, content_hash: str, mapping_version: str) -> bool:
        """Return True if the CRM's row was made from this content by this mapping version."""
        return _digest(ecw_id, content_hash, mapping_version) in self._versions

    def older(self, ecw_id: str, content_hash: str, mapping_version: str, version: str | None) -> bool:
        """Return True if the link of an unchanged record has an older version than this one (ISO 8601)."""
        if version is None:
            return False
        found = self._versions[_digest(ecw_id, content_hash, mapping_version)]
        return found < datetime.fromisoformat(version).timestamp()

    def __len__(self) -> int:
        return len(self._versions)


def known(
    engine: Engine, practice: str, resource: str, *, table: str | None = None, run_id: str | None = None
) -> Known:
    """Return the content of a resource's linked records; with `table`, only of links whose row that table has.

    Records that must be mapped although they did not change are left out. First, those that the run `run_id` itself
    inserted or updated, so that a cleared run counts them again. Second, those of which another version is rejected or
    deferred, so that a record that is back at its loaded content leaves the quarantine.
    """
    of_this_run = func.coalesce(ecw_link.c.inserted_run == run_id, False) | func.coalesce(
        ecw_link.c.updated_run == run_id, False
    )
    statement = select(ecw_link.c.ecw_id, ecw_link.c.hash, ecw_link.c.mapping_version, ecw_link.c.source_version).where(
        ecw_link.c.practice == practice,
        ecw_link.c.resource == resource,
        ~exists().where(
            *_of_link(ecw_reject), ecw_reject.c.state != RejectState.RESOLVED, ecw_reject.c.step != RejectStep.PUSH
        ),
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
    """Yield the eCW ids of a resource: those without a status first, each group by last change, the newest first."""
    version = ecw_link.c.source_version
    statement = (
        select(ecw_link.c.ecw_id)
        .where(ecw_link.c.practice == practice, ecw_link.c.resource == resource)
        .order_by(ecw_link.c.status.is_not(None), version.is_(None), version.desc(), ecw_link.c.ecw_id)
    )
    with reading(engine) as connection:
        yield from connection.execution_options(yield_per=_CHUNK).scalars(statement)


def newest(engine: Engine, practice: str, resource: str, number: int) -> list[tuple[str, datetime]]:
    """Return the `number` eCW ids whose records changed last, with the times, the newest first; none with a status."""
    link = ecw_link.c
    statement = select(link.ecw_id, link.source_version).where(
        link.practice == practice, link.resource == resource, link.status.is_(None), link.source_version.is_not(None)
    )
    with reading(engine) as connection:
        found = connection.execute(statement.order_by(link.source_version.desc(), link.ecw_id).limit(number))
        return [(ecw_id, changed) for ecw_id, changed in found]


def of_run(engine: Engine, practice: str, resource: str, run_id: str) -> list[str]:
    """Return the eCW ids of a resource that a run inserted or updated."""
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
        ecw_link.c.practice == practice, ecw_link.c.resource == resource, ecw_link.c.status == LinkStatus.MERGED
    )
    with reading(engine) as connection:
        return set(connection.scalars(statement))


def changed_since(engine: Engine, practice: str, resource: str, follower: str) -> list[str]:
    """Return the eCW ids of a resource that runs inserted or updated since the `follower`'s cursor was moved.

    The run that moved the cursor is left out, because it used its own records itself. Returns none before the follower
    has a cursor.
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
    """Return the eCW ids that the run, or a run since the `follower`'s cursor was moved, found merged or deleted.

    Each comes with the id of the record that eCW merged it into, None if not known. Deleted records come first.
    """
    link, runs = ecw_link.c, _runs_since(practice, resource, follower)
    statement = (
        select(link.ecw_id, link.status_reason)
        .where(
            link.practice == practice,
            link.resource == resource,
            link.status.in_([LinkStatus.MERGED, LinkStatus.DELETED]),
            or_(link.last_seen_run == run_id, link.last_seen_run.in_(runs)),
        )
        .order_by(link.status, link.ecw_id)
    )
    with reading(engine) as connection:
        return [(ecw_id, _merged_into(reason)) for ecw_id, reason in connection.execute(statement)]


def _merged_into(reason: str | None) -> str | None:
    found = re.search(r"^into (?:.*/)?[A-Z][A-Za-z]*/([A-Za-z0-9.-]{1,64})$", reason or "")
    return found[1] if found else None


def _runs_since(practice: str, resource: str, follower: str) -> Select[str]:
    """Select the runs of a resource that ended since the `follower`'s cursor was moved, without the one that did."""
    moving_run, cursor = ecw_run.alias(), ecw_cursor.c
    ended = func.coalesce(ecw_run.c.ended_at, ecw_run.c.started_at)
    return (
        select(ecw_run.c.run_id)
        .join(ecw_cursor, and_(cursor.practice == ecw_run.c.practice, cursor.resource == follower))
        .outerjoin(
            moving_run,
            and_(
                moving_run.c.practice == practice,
                moving_run.c.run_id == cursor.run_id,
                moving_run.c.resource == cursor.resource,
            ),
        )
        .where(
            ecw_run.c.practice == practice,
            ecw_run.c.resource == resource,
            or_(
                ended > cursor.moved_at,
                and_(
                    ecw_run.c.run_id != cursor.run_id, ended > func.coalesce(moving_run.c.started_at, cursor.moved_at)
                ),
            ),
        )
    )


def among(engine: Engine, practice: str, resource: str, asked: Collection[str]) -> set[str]:
    """Return those of the eCW ids that are linked."""
    wanted, found = sorted(asked), set[str]()
    with reading(engine) as connection:
        for start in range(0, len(wanted), _IDS_PER_STATEMENT):
            statement = select(ecw_link.c.ecw_id).where(
                ecw_link.c.practice == practice,
                ecw_link.c.resource == resource,
                ecw_link.c.ecw_id.in_(wanted[start : start + _IDS_PER_STATEMENT]),
            )
            found.update(connection.scalars(statement))
    return found


def _of_link(table: Table) -> list[ColumnElement[bool]]:
    return [table.c[name] == ecw_link.c[name] for name in ("practice", "resource", "ecw_id")]


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()

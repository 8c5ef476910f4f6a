"""The links: which eCW records the CRM has, and what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

from sqlalchemy import Engine, and_, func, or_, select

from ecw.crm.engine import reading
from ecw.crm.tables import ecw_cursor, ecw_link, ecw_run

_CHUNK = 5_000  # rows fetched at a time
_ASKED = 1_000  # ids in one statement: SQLite and PostgreSQL both take that many


class Known:
    """What the links were made from, for change detection: about 100 bytes a link, whatever its id's length."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def add(self, ecw_id: str, content_hash: str, mapping_version: str) -> None:
        """Note one link."""
        self._digests.add(_digest(ecw_id, content_hash, mapping_version))

    def unchanged(self, ecw_id: str, content_hash: str, mapping_version: str) -> bool:
        """Say whether the CRM's row was made from this very content by this very mapping."""
        return _digest(ecw_id, content_hash, mapping_version) in self._digests

    def __len__(self) -> int:
        return len(self._digests)


def known(engine: Engine, practice: str, resource: str, *, run_id: str | None = None) -> Known:
    """Return what the links of a resource were made from.

    Those that the run `run_id` itself made or changed are left out: a run that is cleared looks at them again, and
    its numbers still say what it did.
    """
    of_this_run = func.coalesce(ecw_link.c.inserted_run == run_id, False) | func.coalesce(
        ecw_link.c.updated_run == run_id, False
    )
    statement = select(ecw_link.c.ecw_id, ecw_link.c.hash, ecw_link.c.mapping_version).where(
        ecw_link.c.practice == practice, ecw_link.c.resource == resource
    )
    if run_id is not None:
        statement = statement.where(~of_this_run)
    found = Known()
    with reading(engine) as connection:
        for ecw_id, content_hash, version in connection.execution_options(yield_per=_CHUNK).execute(statement):
            found.add(ecw_id, content_hash, version)
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


def changed_since(engine: Engine, practice: str, resource: str, follower: str) -> list[str]:
    """Return the eCW ids of a resource that runs made or changed since the `follower`'s cursor was moved.

    The run that moved it looked at what it had loaded by then itself. None before the follower's first look.
    """
    its, moved = ecw_run.alias(), ecw_cursor.c
    ended = func.coalesce(ecw_run.c.ended_at, ecw_run.c.started_at)
    runs = (
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


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()

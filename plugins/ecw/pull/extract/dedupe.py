"""Which of the fetched copies of a record is the one to keep."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ecw.errors import StagingUnavailable
from ecw.fhir.fingerprint import content_hash
from ecw.settings.name_prefixes import of_record

# A server's clock may be fast, and an hour too late is what the end of daylight saving makes of a local time.
AHEAD = timedelta(hours=1)


def version(resource: Mapping[str, Any]) -> str | None:
    """Return `meta.lastUpdated` in UTC, ISO 8601, or None where it has no such time, or one that cannot be yet.

    A version in the future says nothing of what is newer; kept, it would be newer than all that comes for years.
    """
    found = last_updated(resource)
    return None if found is None or datetime.fromisoformat(found) > datetime.now(UTC) + AHEAD else found


def last_updated(resource: Mapping[str, Any]) -> str | None:
    """Return `meta.lastUpdated` in UTC, ISO 8601, whatever it says, or None where it has no such time.

    eCW writes the practice's local offset, which changes with daylight saving: only in UTC do versions compare.
    """
    meta = resource.get("meta")
    written = meta.get("lastUpdated") if isinstance(meta, Mapping) else None
    if not isinstance(written, str):
        return None
    try:
        found = datetime.fromisoformat(written)
        return found.astimezone(UTC).isoformat() if found.tzinfo else None
    except (ValueError, OverflowError):  # the latter where UTC's year would be 0 or 10000
        return None


class Seen:
    """The records fetched so far, by id, and where the newest copy of each one lies.

    Kept in SQLite's private temporary database, which moves to the disk when it grows: memory stays flat for any number
    of records.  It holds digests of ids, times and positions, nothing of a record.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE seen (id BLOB PRIMARY KEY, version TEXT NOT NULL, part INTEGER, line INTEGER) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")
        self.beginnings: set[str] = set()  # the characters with which names begin

    def add(self, resource: Mapping[str, Any], part: int, line: int) -> None:
        """Note a copy; a later one replaces an earlier one unless its version is known to be older."""
        self.beginnings.update(of_record(resource))
        try:
            self._db.execute(
                "INSERT INTO seen VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET version = excluded.version, part = excluded.part, line = excluded.line "
                "WHERE excluded.version >= seen.version OR excluded.version = ''",
                (_key(resource), version(resource) or "", part, line),
            )
        except sqlite3.OperationalError as error:
            raise StagingUnavailable(
                f"The list of the records seen cannot be written to the temporary folder ({error.sqlite_errorname}).",
                next_step="check whether the disk of the temporary folder (TMPDIR) is full.",
                who="data engineer",
            ) from None

    def __contains__(self, ecw_id: str) -> bool:
        return self._db.execute("SELECT 1 FROM seen WHERE id = ?", (_digest(ecw_id.encode()),)).fetchone() is not None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM seen").fetchone()[0])

    def lines(self, part: int) -> set[int]:
        """Return which lines of a part are the copies to keep."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_part ON seen (part)")
        return {line for (line,) in self._db.execute("SELECT line FROM seen WHERE part = ?", (part,))}

    def close(self) -> None:
        """Let the temporary database go."""
        self._db.close()


def _key(resource: Mapping[str, Any]) -> bytes:
    """Return what tells records apart: the id, or the content where a broken record has none, as in the rejects."""
    found = resource.get("id")
    if isinstance(found, str) and found:
        return _digest(found.encode())
    return _digest(b"no id" + content_hash(resource).encode())


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()

"""Choose which of the fetched copies of a record to keep."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ecw.errors import StagingUnavailable
from ecw.fhir.fingerprint import content_hash
from ecw.settings.name_prefixes import of_record

# A server's clock may be fast, and a local time may be one hour off at the end of daylight saving.
AHEAD = timedelta(hours=1)


def version(resource: Mapping[str, Any]) -> str | None:
    """Return `meta.lastUpdated` in UTC, ISO 8601, or None if it is missing, unreadable or in the future.

    A version in the future cannot be compared: it would count as newer than every real version until that time.
    """
    changed = last_updated(resource)
    return None if changed is None or datetime.fromisoformat(changed) > datetime.now(UTC) + AHEAD else changed


def last_updated(resource: Mapping[str, Any]) -> str | None:
    """Return `meta.lastUpdated` in UTC, ISO 8601, or None if it is missing or unreadable.

    eCW writes the practice's local offset, which changes with daylight saving, so versions compare only in UTC.
    """
    meta = resource.get("meta")
    written = meta.get("lastUpdated") if isinstance(meta, Mapping) else None
    if not isinstance(written, str):
        return None
    try:
        changed = datetime.fromisoformat(written)
        return changed.astimezone(UTC).isoformat() if changed.tzinfo else None
    except (ValueError, OverflowError):  # OverflowError if the year in UTC would be 0 or 10000
        return None


class Seen:
    """The records fetched so far, by id, and the position (part, line) of the newest copy of each.

    They are kept in SQLite's private temporary database, which moves to the disk when it grows, so that memory stays
    flat for any number of records.  It holds digests of ids, times and positions, but no content of a record.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE seen (id BLOB PRIMARY KEY, version TEXT NOT NULL, part INTEGER, line INTEGER) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")
        self.beginnings: set[str] = set()  # the first characters of names

    def add(self, resource: Mapping[str, Any], part: int, line: int) -> None:
        """Add a copy; it replaces an earlier copy unless its version is known to be older."""
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
                f"The list of fetched records cannot be written to the temporary folder ({error.sqlite_errorname}).",
                next_step="check whether the disk of the temporary folder (TMPDIR) is full.",
                who="data engineer",
            ) from None

    def __contains__(self, ecw_id: str) -> bool:
        return self._db.execute("SELECT 1 FROM seen WHERE id = ?", (_digest(ecw_id.encode()),)).fetchone() is not None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM seen").fetchone()[0])

    def lines(self, part: int) -> set[int]:
        """Return the line numbers of a part that hold the copies to keep."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_part ON seen (part)")
        return {line for (line,) in self._db.execute("SELECT line FROM seen WHERE part = ?", (part,))}

    def close(self) -> None:
        """Close the temporary database, which deletes it."""
        self._db.close()


def _key(resource: Mapping[str, Any]) -> bytes:
    """Return the digest of the record's id, or of its content if a broken record has no id, as in the rejects."""
    ecw_id = resource.get("id")
    if isinstance(ecw_id, str) and ecw_id:
        return _digest(ecw_id.encode())
    return _digest(b"no id" + content_hash(resource).encode())


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()

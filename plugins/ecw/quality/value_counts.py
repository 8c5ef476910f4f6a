"""How often each value of a column is in a batch that may be larger than memory."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

import orjson


class Copies:
    """Counts values by their digests in SQLite's private temporary database, which moves to the disk when it grows."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("CREATE TABLE copies (value BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, rule: int, value: Any) -> None:
        """Count one value under a rule; the absence of a value is none."""
        if value is not None:
            self._db.execute(
                "INSERT INTO copies VALUES (?, 1) ON CONFLICT (value) DO UPDATE SET times = times + 1",
                (_digest(rule, value),),
            )

    def times(self, rule: int, value: Any) -> int | None:
        """Return how often the value was counted, None for the absence of one."""
        if value is None:
            return None
        found = self._db.execute("SELECT times FROM copies WHERE value = ?", (_digest(rule, value),)).fetchone()
        return 0 if found is None else int(found[0])

    def close(self) -> None:
        """Let the temporary database go."""
        self._db.close()


def _digest(rule: int, value: Any) -> bytes:
    return hashlib.blake2b(orjson.dumps([rule, value], option=orjson.OPT_SORT_KEYS), digest_size=16).digest()

"""Make the files of a SQLite database, which hold patient data, private: mode 0600, in folders of mode 0700.

The write-ahead log and its index take the mode of the database itself (SQLite, findCreateFileMode in os_unix.c).
SQLite's temporary files, which also hold the load's temporary tables, go into a folder beside the database instead of
/tmp.  They are unlinked, and end with the connection.  An existing database keeps its mode: the CRM's own programs may
need it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any


class PrivateFiles:
    """Creates a new database file and the folder for temporary files, before SQLite would with the umask's mode."""

    def __init__(self, database: Path) -> None:
        self.database = database.absolute()
        self.temporary = self.database.with_name(f"{self.database.name}-tmp")

    def connecting(self, _dialect: Any, _record: Any, _args: Any, _kwargs: Any) -> None:
        """Create the file if it does not exist (SQLAlchemy's event `do_connect`); SQLite reports an error later."""
        with suppress(OSError):
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def connected(self, connection: Any, _record: Any) -> None:
        """Set the folder for this process's temporary files (SQLAlchemy's event `connect`).

        PRAGMA temp_store_directory is the only way at run time: SQLITE_TMPDIR is read when Python imports sqlite3.  If
        the folder cannot be created, because the disk is read-only for example, temporary tables stay in memory.
        """
        try:
            self.temporary.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            connection.execute("PRAGMA temp_store = MEMORY")
            return
        path = str(self.temporary).replace("'", "''")
        connection.execute(f"PRAGMA temp_store_directory = '{path}'")

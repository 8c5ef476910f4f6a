"""The files of a SQLite database, which hold patients, are for their owner only: mode 0600, in folders of 0700.

The write-ahead log and its index take the mode of the database itself (SQLite, findCreateFileMode in os_unix.c).  What
a statement spills, the load's temporary tables too, goes into a folder beside the database and not into the machine's
/tmp; it has no name there, and ends with the connection.  A database that is there already keeps the mode that its
owner gave it: the CRM's own programs may need it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any


class PrivateFiles:
    """Makes a new database, and the folder for what is spilled, before SQLite would with the mode of the umask."""

    def __init__(self, database: Path) -> None:
        self.database = database.absolute()
        self.spill = self.database.with_name(f"{self.database.name}-tmp")

    def connecting(self, _dialect: Any, _record: Any, _args: Any, _kwargs: Any) -> None:
        """Make the file where there is none (SQLAlchemy's event `do_connect`); what stops it, SQLite will say."""
        with suppress(OSError):
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def connected(self, connection: Any, _record: Any) -> None:
        """Let this process spill into the folder (SQLAlchemy's event `connect`).

        PRAGMA temp_store_directory is the one way to say it at run time: SQLITE_TMPDIR is read when Python imports its
        sqlite3.  Where the folder cannot be made, the database being read-only say, nothing is spilled at all.
        """
        try:
            self.spill.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            connection.execute("PRAGMA temp_store = MEMORY")
            return
        path = str(self.spill).replace("'", "''")
        connection.execute(f"PRAGMA temp_store_directory = '{path}'")

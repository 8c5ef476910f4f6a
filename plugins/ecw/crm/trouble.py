"""What a database error means, told without the values that its text may hold."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from ecw.errors import ConfigurationWrong, CrmTableWrong, CrmTrouble, EcwError

# https://www.postgresql.org/docs/current/errcodes-appendix.html, the first two characters of the state
_TEMPORARY = ("08", "40", "53", "55", "57")  # connection, rollback, resources, lock, shutdown
_REFUSED = ("28", "3D")  # user or password, no such database


def told(error: DBAPIError, what: str) -> EcwError:
    """Return the error of ours that a database error stands for; raise it `from None`.

    `what` begins its sentence: "The load of patient". A driver's message may quote a row, so only codes and names of
    tables, columns and constraints are taken from it.
    """
    origin = error.orig
    if isinstance(origin, sqlite3.Error):
        return _sqlite(origin, what)
    diagnosis = getattr(origin, "diag", None)
    state = getattr(origin, "sqlstate", None) or ""
    if state.startswith(_REFUSED) or (not state and _login_refused(str(origin))):
        return ConfigurationWrong(
            f"{what}: PostgreSQL refused the user, the password or the database's name.",
            next_move="mend login, password and schema of the CRM connection.",
        )
    if not state or state.startswith(_TEMPORARY):
        return CrmTrouble(
            f"{what}: PostgreSQL did not answer, or gave up{_code(state)}.",
            next_move="try again; if it stays so, see whether the CRM's database is up and reachable from here.",
        )
    names = [
        f"{kind} {name}"
        for kind in ("table", "column", "constraint")
        if (name := getattr(diagnosis, f"{kind}_name", None))
    ]
    return CrmTableWrong(
        f"{what}: PostgreSQL refused it{_code(state)}{': ' + ', '.join(names) if names else ''}.",
        next_move="compare the CRM's table with the mapping file, mend one of them, and run the task again.",
    )


def _sqlite(error: sqlite3.Error, what: str) -> EcwError:
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL")):
        return CrmTrouble(
            f"{what}: SQLite gave up ({name}).",
            next_move="try again; if it stays so, see whether the disk is full or another program holds the file.",
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CORRUPT")):
        return ConfigurationWrong(
            f"{what}: SQLite cannot use the file ({name}).",
            next_move="see that the CRM connection's path names a database file that this user may write, "
            "in a folder that exists.",
        )
    return CrmTableWrong(
        f"{what}: SQLite refused it ({name}).",
        next_move="compare the CRM's table with the mapping file, mend one of them, and run the task again.",
    )


def _login_refused(text: str) -> bool:
    # A refused login arrives without a state: it happens before there is a session.
    return any(sign in text for sign in ("authentication failed", "does not exist", "no password supplied"))


def _code(state: str) -> str:
    return f" (state {state})" if state else ""

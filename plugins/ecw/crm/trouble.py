"""What a database error means, told without the values that its text may hold."""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy.exc import DBAPIError

from ecw.errors import ConfigurationWrong, CrmTableWrong, CrmTrouble, EcwError

# https://www.postgresql.org/docs/current/errcodes-appendix.html, the first two characters of the state
_TEMPORARY = ("08", "40", "53", "55", "57")  # connection, rollback, resources, lock, shutdown
_REFUSED = ("28", "3D")  # user or password, no such database
_NO_RIGHT, _READ_ONLY = "42501", "25006"
# libpq's own words, which hold names of hosts and files only; a session that never began has no state
_TLS = re.compile(r"SSL|TLS|certificate|sslmode", re.IGNORECASE)
_OBJECT = re.compile(r"permission denied for (table|view|schema|sequence|database|function) ([\w.]{1,63})")
GRANTS = "docs/how-to/connect-a-practice.md"


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
    if not state and _TLS.search(str(origin)):
        return ConfigurationWrong(
            f"{what}: no connection over TLS whose certificate is trusted came about.",
            next_move="put the path of the CA that signed the server's certificate into the CRM connection's extra "
            "field `sslrootcert`, and use the host name of the certificate; where the server has no TLS, switch it on, "
            'or write {"sslmode": "disable"} on a network of your own.',
        )
    if state == _NO_RIGHT:
        found = _OBJECT.search(str(origin))
        on = f" on the {found[1]} {found[2]}" if found else ""
        return ConfigurationWrong(
            f"{what}: the CRM connection's user lacks a right{on}{_code(state)}.",
            next_move=f"grant it as {GRANTS} says; `ecw migrate` needs a user who owns the tables, the runs do not.",
            who="database administrator",
        )
    if state == _READ_ONLY:
        return ConfigurationWrong(
            f"{what}: the CRM's database takes no writes{_code(state)}.",
            next_move="point the CRM connection to the primary, not to a standby, and see that its user's "
            "default_transaction_read_only is off.",
            who="database administrator",
        )
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

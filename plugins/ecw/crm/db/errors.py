"""Translate database errors into the project's errors, for all work on the CRM's database.

A driver's message may quote a row ("Failing row contains (…)"), so only codes and names of tables, columns and
constraints are taken from it.  `listen` registers the translation for every error of an engine, in every thread.
`translated`, in which every engine is opened, catches the errors that SQLAlchemy does not pass to `listen`: those of
COPY, of a pool without a free connection, and of a value that Python cannot read.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from traceback import extract_tb
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from ecw.errors import (
    ConfigurationError,
    CrmSchemaError,
    DatabaseUnavailable,
    EcwError,
    InternalError,
    RowRefused,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html, the first two characters of the state
_TEMPORARY = ("08", "40", "53", "55", "57")  # connection, rollback, resources, lock, shutdown
_LOGIN_REFUSED = ("28", "3D")  # user or password, no such database
_NO_RIGHT, _READ_ONLY = "42501", "25006"
# Errors of a written row: values, constraints, RAISE in a trigger, the CHECK OPTION of a view.
_OF_A_ROW = ("22", "23", "P0", "44")
_RULES = {
    "23502": "not null",
    "23503": "foreign key",
    "23505": "unique",
    "23514": "check",
    "23P01": "exclusion",
    "23001": "foreign key",
    "44000": "check",
}
_SQLITE_RULES = {
    "SQLITE_CONSTRAINT_NOTNULL": "not null",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "foreign key",
    "SQLITE_CONSTRAINT_UNIQUE": "unique",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "unique",
    "SQLITE_CONSTRAINT_ROWID": "unique",
    "SQLITE_CONSTRAINT_CHECK": "check",
    "SQLITE_CONSTRAINT_TRIGGER": "trigger",
    "SQLITE_CONSTRAINT_DATATYPE": "value",
    "SQLITE_MISMATCH": "value",
    "SQLITE_TOOBIG": "value",
}
_REASONS = {
    "not null": "must not be empty",
    "foreign key": "refers to a row that does not exist",
    "unique": "another row has the same value",
    "check": "breaks a check of the CRM",
    "exclusion": "another row excludes it",
    "value": "holds a value that the CRM's column cannot take",
    "trigger": "a trigger of the CRM refuses it",
    "not kept": "the CRM's table did not keep the row",
    "id changed": "the CRM changed the eCW id, by which the row is found again",
    "row security": "row-level security of the CRM refuses it",
}
# The place of a RAISE; the message itself may quote the row, the function's name cannot.
_RAISED = re.compile(r"PL/pgSQL function ([\w.\"]{1,63})\([^)]*\) line \d+ at RAISE")
# libpq's own messages, which hold only names of hosts and files; an error before the session began has no SQLSTATE.
_TLS = re.compile(r"SSL|TLS|certificate|sslmode", re.IGNORECASE)
_OBJECT = re.compile(r"permission denied for (table|view|schema|sequence|database|function) ([\w.]{1,63})")
GRANTS = "docs/how-to/connect-a-practice.md"
# Files that errors only pass through.
_PASSED = (__file__, str(Path(__file__).with_name("engine.py")), contextlib.__file__)
_current_work: ContextVar[str] = ContextVar("ecw_crm_work", default="The CRM's database")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Name the work in the messages of errors raised inside the `with`: "The load of patient"."""
    token = _current_work.set(what)
    try:
        yield
    finally:
        _current_work.reset(token)


def listen(engine: Engine) -> None:
    """Turn every error of the engine into one of the project's."""
    event.listen(engine, "handle_error", _handled)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the project's errors instead of database errors, and of Python's errors whose text may quote a value."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translate_db_error(error) from None
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise _unexpected(error).with_traceback(error.__traceback__) from None
    except Exception as error:
        if not _of_psycopg(error):
            raise
        raise translate_db_error(error) from None


def translate_db_error(error: Exception, what: str | None = None) -> EcwError:
    """Return the project's error for a database error of SQLAlchemy or a driver; raise it `from None`.

    `what` names the work in its message; by default the name that `working` has set.
    """
    what = what or _current_work.get()
    origin = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    if isinstance(origin, sqlite3.Error):
        return _sqlite(origin, what)
    if _of_psycopg(origin) or isinstance(error, DBAPIError):
        return _postgresql(origin, what)
    if isinstance(error, StatementError):  # before the database saw it
        return CrmSchemaError(
            f"{what}: a value does not fit its column ({type(origin).__name__}).",
            next_step="compare the CRM's table with the mapping file, fix one of them, and run the task again.",
        )
    return DatabaseUnavailable(
        f"{what}: the database could not be used ({type(origin).__name__}).",
        next_step="try again; if it happens again, report it with the lines above it in the log.",
    )


def _handled(context: ExceptionContext) -> EcwError | None:
    error = context.original_exception
    if context.is_pre_ping or context.sqlalchemy_exception is None or not isinstance(error, Exception):
        return None
    found = translate_db_error(context.sqlalchemy_exception)
    # SQLAlchemy makes it the cause of the new error, and a traceback would show its text.
    error.args = ("its text is withheld: it may quote a row",)
    return found


def _unexpected(error: Exception) -> InternalError:
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename not in _PASSED]
    ours = [frame for frame in frames if "ecw" in Path(frame.filename).parts] or frames
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return InternalError(
        f"An unexpected {type(error).__name__}{where}; its text is withheld, because it may quote a record.",
        next_step="report it with the traceback, which holds no values.",
    )


def _of_psycopg(error: BaseException) -> bool:
    return any(kind.__module__.split(".")[0] == "psycopg" for kind in type(error).__mro__)


def _postgresql(origin: Any, what: str) -> EcwError:
    diagnosis = getattr(origin, "diag", None)
    state = getattr(origin, "sqlstate", None) or ""
    found = _refused_row(origin, what, state) or _no_access(origin, what, state)
    if found is not None:
        return found
    if not state or state.startswith(_TEMPORARY):
        return DatabaseUnavailable(
            f"{what}: PostgreSQL did not answer, or gave up{_code(state)}.",
            next_step="try again; if it happens again, check whether the CRM's database is up and reachable from here.",
        )
    names = [
        f"{kind} {name}"
        for kind in ("table", "column", "constraint")
        if (name := getattr(diagnosis, f"{kind}_name", None))
    ]
    return CrmSchemaError(
        f"{what}: PostgreSQL refused it{_code(state)}{': ' + ', '.join(names) if names else ''}.",
        next_step="compare the CRM's table with the mapping file, fix one of them, and run the task again.",
    )


def _no_access(origin: Any, what: str, state: str) -> ConfigurationError | None:
    """Return the error if the CRM connection's user has no access, None for another kind of error."""
    if not state and _TLS.search(str(origin)):
        return ConfigurationError(
            f"{what}: no TLS connection with a trusted certificate could be made.",
            next_step="put the path of the CA that signed the server's certificate into the CRM connection's extra "
            "field `sslrootcert`, and use the host name of the certificate; where the server has no TLS, switch it on, "
            'or write {"sslmode": "disable"} on a network of your own.',
        )
    if state == _NO_RIGHT:
        object_ = _OBJECT.search(str(origin))
        on = f" on the {object_[1]} {object_[2]}" if object_ else ""
        return ConfigurationError(
            f"{what}: the CRM connection's user lacks a right{on}{_code(state)}.",
            next_step=f"grant it as {GRANTS} describes; `ecw migrate` needs the owner of the tables, the runs do not.",
            who="database administrator",
        )
    if state == _READ_ONLY:
        return ConfigurationError(
            f"{what}: the CRM's database takes no writes{_code(state)}.",
            next_step="point the CRM connection to the primary, not to a standby, and see that its user's "
            "default_transaction_read_only is off.",
            who="database administrator",
        )
    if state.startswith(_LOGIN_REFUSED) or (not state and _login_refused(str(origin))):
        return ConfigurationError(
            f"{what}: PostgreSQL refused the user, the password or the database's name.",
            next_step="fix login, password and schema of the CRM connection.",
        )
    return None


def _refused_row(origin: Any, what: str, state: str) -> RowRefused | None:
    """Return the error if the database refused a row, None for another kind of error."""
    diagnosis = getattr(origin, "diag", None)
    raised = _RAISED.search(getattr(diagnosis, "context", None) or "")
    if state == _NO_RIGHT and "row-level security" in str(origin):
        rule = "row security"
    elif raised or state.startswith("P0"):
        rule = "trigger"
    elif state.startswith(_OF_A_ROW):
        rule = _RULES.get(state, "value")
    else:
        return None
    column, constraint = (getattr(diagnosis, f"{kind}_name", None) or "" for kind in ("column", "constraint"))
    by = f"constraint {constraint}" if constraint else f"function {raised[1]}" if raised else ""
    return row_refused(rule, column, by=f"{by + ', ' if by else ''}state {state}", what=what)


def row_refused(rule: str, column: str = "", *, by: str, what: str | None = None) -> RowRefused:
    """Return the error for a refused row. `rule` is a key of _REASONS; `by` names the constraint, function or code."""
    reason = f"{_REASONS[rule]} ({by})"
    error = RowRefused(
        f"{what or _current_work.get()}: {f'column {column}' if column else 'a row'}: {reason}.",
        next_step="correct the record, the CRM's rule or the mapping file, and run the task again.",
    )
    error.rule, error.column, error.reason = f"CRM: {rule}", column, reason
    return error


def _sqlite(error: sqlite3.Error, what: str) -> EcwError:
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if rule := _SQLITE_RULES.get(name):
        return row_refused(rule, by=name, what=what)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL")):
        return DatabaseUnavailable(
            f"{what}: SQLite gave up ({name}).",
            next_step="try again; if it happens again, "
            "check whether the disk is full or another program holds the file.",
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CORRUPT")):
        return ConfigurationError(
            f"{what}: SQLite cannot use the file ({name}).",
            next_step="check that the CRM connection's path names a database file that this user may write, "
            "in a folder that exists.",
        )
    return CrmSchemaError(
        f"{what}: SQLite refused it ({name}).",
        next_step="compare the CRM's table with the mapping file, fix one of them, and run the task again.",
    )


def _login_refused(text: str) -> bool:
    # A refused login has no SQLSTATE: it happens before there is a session.
    return any(sign in text for sign in ("authentication failed", "does not exist", "no password supplied"))


def _code(state: str) -> str:
    return f" (state {state})" if state else ""

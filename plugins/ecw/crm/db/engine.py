"""The CRM's database: from an Airflow connection to a SQLAlchemy engine.

Of a SQLite database every file is its owner's alone: see ecw.crm.db.private_files.

SQLite: one writer at a time, so write-ahead logging, a long busy time-out, and transactions that take the write lock
when they begin (`BEGIN IMMEDIATE`): one that reads first and writes later could not wait for the lock, it would fail.
A connection with the execution option `crm_read` begins without the lock; reads never wait.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select

from ecw.crm.db import lenient_dates
from ecw.crm.db.enums import PRACTICE_OPTION
from ecw.crm.db.errors import listen, translated, working
from ecw.crm.db.migrations import require_migrated
from ecw.crm.db.private_files import PrivateFiles
from ecw.crm.db.url import database_url, url_of
from ecw.errors import ConfigurationError, EcwError
from ecw.settings import connections

if TYPE_CHECKING:
    from ecw.settings.connections import Connection as AirflowConnection

# At DEBUG SQLAlchemy logs every row that it fetches; hide_parameters is about what is sent.
logging.getLogger("sqlalchemy.engine.Engine").addFilter(lambda record: record.levelno > logging.DEBUG)

BUSY_SECONDS = 60  # a load's merge is the longest write transaction
CONNECT_SECONDS = 10
MOST_UNUSED = 8  # engines that are kept for the next who opens the CRM
# hide_parameters: the values of a failed statement would be patient data in an exception's text.
OPTIONS: dict[str, Any] = {"hide_parameters": True}


def crm_engine(conn_id: str = "crm_default", *, migrated: bool = True) -> Engine:
    """Return an engine on the CRM's database, that answers and, unless the caller says otherwise, is migrated.

    Raises ConfigurationError (no such connection, no driver, a database or a password refused), DatabaseUnavailable (no
    answer), CrmSchemaError (not migrated).
    """
    found = connections.get(conn_id)
    practice_column = _practice_column(found)
    engine = _take(database_url(url_of(found)))
    engine.update_execution_options(**{PRACTICE_OPTION: practice_column})
    try:
        with working(f"The CRM's database (connection {conn_id!r})"), reading(engine) as connection:
            if migrated:
                require_migrated(connection)
    except EcwError:
        engine.dispose()
        raise
    return engine


@contextmanager
def open_crm(conn_id: str = "crm_default", *, migrated: bool = True) -> Iterator[Engine]:
    """Give `crm_engine`'s engine for the length of a `with`; no connection stays open after it.

    What goes wrong inside is one of the project's errors, without a value: see ecw.crm.db.errors.
    """
    engine = crm_engine(conn_id, migrated=migrated)
    try:
        with translated():
            yield engine
    finally:
        engine.dispose()
        _keep(engine)


# Engines that nobody uses, by their URLs. They have no connection open, so a process that is forked may use its copies,
# and a database that was replaced is opened anew; what they keep is the SQL that they have compiled, which SQLAlchemy
# keeps for each engine alone. Whoever opens the CRM has an engine to himself.
_unused: dict[URL, list[Engine]] = {}


def _take(url: URL) -> Engine:
    try:
        return _unused[url].pop()
    except LookupError:
        return engine_from_url(url)


def _keep(engine: Engine) -> None:
    if sum(map(len, list(_unused.values()))) >= MOST_UNUSED:
        _unused.clear()
    _unused.setdefault(engine.url, []).append(engine)


def engine_from_url(url: str | URL) -> Engine:
    """Return an engine on a SQLite file or a PostgreSQL database; nothing is connected yet.

    Raises ConfigurationError for another kind of database or a missing driver.
    """
    found = database_url(url)
    engine = _sqlite(found) if found.get_backend_name() == "sqlite" else _postgresql(found)
    listen(engine)
    return engine


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **OPTIONS)
    if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
        private = PrivateFiles(Path(url.database))
        event.listen(engine, "do_connect", private.connecting)
        event.listen(engine, "connect", private.connected)
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_pre_ping=True,
            max_overflow=20,  # pushes go side by side, and each holds up to three for moments
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "ecw",
                "client_encoding": "utf8",  # a character that the database lacks is the server's word, row by row
            },
            **OPTIONS,
        )
    except ModuleNotFoundError:
        raise ConfigurationError(
            "The driver for PostgreSQL, psycopg, is not installed.",
            next_step="install the project's requirements: pip install -r requirements.txt.",
        ) from None
    event.listen(engine, "connect", lenient_dates.connected)
    return engine


def _practice_column(conn: AirflowConnection) -> str | None:
    """Return the name of the column that says whose a row is, None where the connection says nothing."""
    name = conn.extra_dejson.get("practice_column")
    if name is None or (isinstance(name, str) and name.strip()):
        return None if name is None else name.strip()
    raise ConfigurationError(
        f"The extra field `practice_column` of the connection {conn.conn_id!r} is not the name of a column.",
        next_step='write it as {"practice_column": "ecw_practice"}, or leave it out.',
    )


def reading(engine: Engine) -> Connection:
    """Return a connection that only reads: on SQLite it takes no write lock."""
    return engine.connect().execution_options(crm_read=True)


def _sqlite_connected(dbapi_connection: Any, _record: Any) -> None:
    # The driver would begin transactions by its own rules; ours begin in _sqlite_begin, DDL included.
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-transactional-behavior
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    _log_ahead(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _log_ahead(cursor: sqlite3.Cursor) -> None:
    """Let the file have a write-ahead log; the busy time-out does not hold for those who open a new file at once."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The lowest byte: the others say in which way it is busy.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _sqlite_begin(connection: Connection) -> None:
    read = connection.get_execution_options().get("crm_read", False)
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")


def exclusive(connection: Connection, what: str) -> None:
    """Let transactions that name the same thing go one after the other.  On SQLite all that write do."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(what, 0))))

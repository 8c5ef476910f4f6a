"""Open the CRM's database: from an Airflow connection to a SQLAlchemy engine.

The files of a SQLite database are private: see ecw.crm.db.private_files.

SQLite has one writer at a time. So it runs with write-ahead logging, a long busy time-out, and transactions that take
the write lock when they begin (`BEGIN IMMEDIATE`): a transaction that reads first and writes later cannot wait for the
lock, it fails. A connection with the execution option `crm_read` begins without the lock; reads never wait.
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
MOST_UNUSED = 8  # engines that are kept for the next `crm_engine`
# hide_parameters: the values of a failed statement are patient data, and must not be in an exception's text.
OPTIONS: dict[str, Any] = {"hide_parameters": True}


def crm_engine(conn_id: str = "crm_default", *, migrated: bool = True) -> Engine:
    """Return an engine of the CRM's database, after checks that it answers and, with `migrated`, that it is migrated.

    Raises ConfigurationError (unknown connection, no driver, refused database or password), DatabaseUnavailable (no
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
    """Yield an engine from `crm_engine`; close its connections at the end of the `with`.

    Database errors inside it become the project's errors, without values: see ecw.crm.db.errors.
    """
    engine = crm_engine(conn_id, migrated=migrated)
    try:
        with translated():
            yield engine
    finally:
        engine.dispose()
        _keep(engine)


# Unused engines, by URL. They are kept for their compiled SQL, which SQLAlchemy caches for each engine. They have no
# open connection, so a forked process may use its copies, and a database that was replaced is opened again. An engine
# in use is never shared.
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
    """Return an engine of a SQLite file or a PostgreSQL database, without connecting.

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
            max_overflow=20,  # pushes are parallel, and each briefly holds up to three connections
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "ecw",
                # So that the server, not the driver, refuses characters that the database lacks, row by row.
                "client_encoding": "utf8",
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
    """Return the extra `practice_column` of the connection, None without one."""
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
    # The driver would begin transactions by its own rules. Here _sqlite_begin begins them, also for DDL.
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-transactional-behavior
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Switch the file to write-ahead logging; retry, because the busy time-out does not apply to this change."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The lowest byte is the primary code; the others say why it is busy.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _sqlite_begin(connection: Connection) -> None:
    read = connection.get_execution_options().get("crm_read", False)
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")


def exclusive(connection: Connection, name: str) -> None:
    """Make this transaction wait for others with the same lock name.  On SQLite all writers wait for each other."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))

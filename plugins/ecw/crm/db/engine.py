"""The CRM's database: from an Airflow connection to a SQLAlchemy engine.

Of a SQLite database every file is its owner's alone: see ecw.crm.db.private_files.

SQLite: one writer at a time, so write-ahead logging, a long busy time-out, and transactions that take the write lock
when they begin (`BEGIN IMMEDIATE`): one that reads first and writes later could not wait for the lock, it would fail.
A connection with the execution option `crm_read` begins without the lock; reads never wait.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError

from ecw.crm.db import lenient_dates
from ecw.crm.db.enums import PRACTICE_OPTION
from ecw.crm.db.errors import listen, translated, working
from ecw.crm.db.migrations import require_migrated
from ecw.crm.db.private_files import PrivateFiles
from ecw.errors import ConfigurationError, EcwError
from ecw.settings import connections

if TYPE_CHECKING:
    from ecw.settings.connections import Connection as AirflowConnection

# At DEBUG SQLAlchemy logs every row that it fetches; hide_parameters is about what is sent.
logging.getLogger("sqlalchemy.engine.Engine").addFilter(lambda record: record.levelno > logging.DEBUG)

BUSY_SECONDS = 60  # a load's merge is the longest write transaction
CONNECT_SECONDS = 10
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TLS_CHECKED = ("verify-full", "verify-ca")
TLS_MODES = (*TLS_CHECKED, "require", "prefer", "allow", "disable")
PASSWORD_FIELD = "the password belongs into the connection's password field, where it needs no quoting and is masked"  # noqa: S105
SUPPORTED = "docs/how-to/your-own-crm.md"
# Databases that a CRM may well have, by SQLAlchemy's names and Airflow's connection types.
OTHERS = {
    "mssql": "SQL Server",
    "odbc": "SQL Server",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "oracle": "Oracle",
    "snowflake": "Snowflake",
    "redshift": "Redshift",
    "cockroachdb": "CockroachDB",
    "gcpcloudsql": "Cloud SQL by Google's own connector",
    "sqlserver": "SQL Server",
    "db2": "Db2",
    "salesforce": "Salesforce",
}
log = logging.getLogger(__name__)


def crm_engine(conn_id: str = "crm_default", *, migrated: bool = True) -> Engine:
    """Return an engine on the CRM's database, known to answer and, unless told otherwise, to be migrated.

    Raises ConfigurationError (no such connection, no driver, a database or a password refused), DatabaseUnavailable (no
    answer), CrmSchemaError (not migrated).
    """
    found = connections.get(conn_id)
    engine = engine_from_url(_with_password(found))
    engine.update_execution_options(**{PRACTICE_OPTION: _practice_column(found)})
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


def engine_from_url(url: str | URL) -> Engine:
    """Return an engine on a SQLite file or a PostgreSQL database; nothing is connected yet.

    Raises ConfigurationError for another kind of database or a missing driver.
    """
    parsed = _parsed(url)
    kind = parsed.get_backend_name()
    # hide_parameters: the values of a failed statement would be patient data in an exception's text.
    if kind == "sqlite":
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
        if parsed.database and parsed.database != ":memory:" and not parsed.database.startswith("file:"):
            private = PrivateFiles(Path(parsed.database))
            event.listen(engine, "do_connect", private.connecting)
            event.listen(engine, "connect", private.connected)
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begin)
        listen(engine)
        return engine
    if kind == "postgresql":
        try:
            engine = create_engine(
                _with_tls(parsed.set(drivername="postgresql+psycopg")),
                hide_parameters=True,
                pool_pre_ping=True,
                max_overflow=20,  # pushes go side by side, and each holds up to three for moments
                connect_args={
                    "connect_timeout": CONNECT_SECONDS,
                    "application_name": "ecw",
                    "client_encoding": "utf8",  # a character that the database lacks is the server's word, row by row
                },
            )
        except ModuleNotFoundError:
            raise ConfigurationError(
                "The driver for PostgreSQL, psycopg, is not installed.",
                next_step="install the project's requirements: pip install -r requirements.txt.",
            ) from None
        event.listen(engine, "connect", lenient_dates.connected)
        listen(engine)
        return engine
    raise _unsupported("The CRM connection", kind)


def _unsupported(what: str, kind: str) -> ConfigurationError:
    name = OTHERS.get(kind, repr(kind))
    return ConfigurationError(
        f"{what} names a database of {name}, which is not supported: a load needs what PostgreSQL and SQLite do alike "
        "(INSERT ... ON CONFLICT, RETURNING, DDL in transactions).",
        next_step="use PostgreSQL for the CRM's database (or SQLite for a trial): "
        f"{SUPPORTED} says what of it, and how to keep the CRM's tables elsewhere.",
    )


def reading(engine: Engine) -> Connection:
    """Return a connection that only reads: on SQLite it takes no write lock."""
    return engine.connect().execution_options(crm_read=True)


def _practice_column(conn: AirflowConnection) -> str | None:
    """Return the name of the column that says whose a row is, None where the connection says nothing."""
    name = conn.extra_dejson.get("practice_column")
    if name is None or (isinstance(name, str) and name.strip()):
        return None if name is None else name.strip()
    raise ConfigurationError(
        f"The extra field `practice_column` of the connection {conn.conn_id!r} is not the name of a column.",
        next_step='write it as {"practice_column": "ecw_practice"}, or leave it out.',
    )


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter quotes what stands where a port should
        parsed = None
    if parsed is None or "@" in (parsed.host or ""):
        raise ConfigurationError(
            "The CRM connection's URL cannot be read.",
            next_step="write it as sqlite:////path/crm.db or postgresql://user@host:5432/database; "
            f"{PASSWORD_FIELD} (in a URL, @ is written %40 and : is written %3A).",
        )
    return parsed


def _with_password(conn: AirflowConnection) -> URL:
    """Return the connection's URL with the user and the password of its own fields, where the URL has none."""
    url = _parsed(_url(conn))
    if url.password:
        if "airflow.sdk" in sys.modules:  # else nothing of Airflow logs
            from airflow.sdk.log import mask_secret

            mask_secret(str(url.password))
        _warn_once(f"The connection {conn.conn_id!r} shows the CRM's password in its URL: {PASSWORD_FIELD}.")
    elif conn.password and url.get_backend_name() == "postgresql":
        url = url.set(username=url.username or conn.login, password=conn.password)
    return url


def _with_tls(url: URL) -> URL:
    """Return the URL with TLS that checks the server's certificate and name, unless it says otherwise.

    A socket and this machine itself need none. https://www.postgresql.org/docs/current/libpq-ssl.html
    """
    named = url.query.get("host") or url.host or os.environ.get("PGHOST") or ""
    hosts = named.split(",") if isinstance(named, str) else list(named)
    if all(not host or host.startswith(("/", "@")) or LOOPBACK & {host, host.partition(":")[0]} for host in hosts):
        return url
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE") or TLS_CHECKED[0]
    if mode not in TLS_MODES:
        raise ConfigurationError(
            "The CRM connection's sslmode is none that PostgreSQL knows.", next_step=f"use {TLS_CHECKED[0]}."
        )
    if mode not in TLS_CHECKED:
        _warn_once(
            f"The CRM connection has sslmode {mode}: whoever stands between can read and change what is sent. "
            f"Take it away, or write {TLS_CHECKED[0]}."
        )
        return url
    options = {"sslmode": str(mode)}
    own = Path("~/.postgresql/root.crt").expanduser()  # libpq looks there by itself
    if not (url.query.get("sslrootcert") or os.environ.get("PGSSLROOTCERT") or own.exists()):
        options["sslrootcert"] = _authorities()
    return url.update_query_dict(options)


def _authorities() -> str:
    """Return the file of the CAs that this machine trusts; the driver's own libpq does not know where it lies."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # what HTTPS uses, too

    found = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return found or DEFAULT_CA_BUNDLE_PATH


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def _url(conn: AirflowConnection) -> str | URL:
    """Return the database's URL: written out in the extra `url` or the host, or put together from the fields."""
    written = conn.extra_dejson.get("url") or (conn.host if conn.host and "://" in conn.host else None)
    if written:
        return str(written)
    kind = (conn.conn_type or "").lower()
    if kind == "sqlite" and (conn.host or conn.schema):
        return URL.create("sqlite", database=conn.host or conn.schema)
    if kind in ("postgres", "postgresql"):
        options = {name: str(value) for name, value in conn.extra_dejson.items() if name.startswith("ssl")}
        return URL.create(
            "postgresql",
            username=conn.login,
            password=conn.password,
            host=conn.host,
            port=conn.port,
            database=conn.schema,
            query=options,
        )
    if kind in OTHERS:
        raise _unsupported(f"The connection {conn.conn_id!r}", kind)
    raise ConfigurationError(
        f"The connection {conn.conn_id!r} (type {kind!r}) does not say where the CRM's database is.",
        next_step="use type sqlite with the file's path as host, type postgres with its usual fields, "
        'or {"url": "<SQLAlchemy URL>"} as the extra, and the password into the password field.',
    )


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

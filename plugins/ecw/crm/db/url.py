"""Build the URL of the CRM's database from an Airflow connection."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ecw.errors import ConfigurationError

if TYPE_CHECKING:
    from ecw.settings.connections import Connection

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TLS_CHECKED = ("verify-full", "verify-ca")
TLS_MODES = (*TLS_CHECKED, "require", "prefer", "allow", "disable")
PASSWORD_FIELD = "the password belongs in the connection's password field, where it needs no quoting and is masked"  # noqa: S105
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


def url_of(conn: Connection) -> URL:
    """Return the connection's URL; if it has no user and password, those of the connection's own fields are added."""
    url = _parsed(_url(conn))
    if url.password:
        if "airflow.sdk" in sys.modules:  # else Airflow does not write the log
            from airflow.sdk.log import mask_secret

            mask_secret(str(url.password))
        _warn_once(f"The connection {conn.conn_id!r} shows the CRM's password in its URL: {PASSWORD_FIELD}.")
    elif conn.password and url.get_backend_name() == "postgresql":
        url = url.set(username=url.username or conn.login, password=conn.password)
    return url


def database_url(url: str | URL) -> URL:
    """Return the URL to connect to: for PostgreSQL with the psycopg driver, and with TLS if it is on another machine.

    Raises ConfigurationError if the URL cannot be parsed, or names another kind of database.
    """
    found = _parsed(url)
    match found.get_backend_name():
        case "sqlite":
            return found
        case "postgresql":
            return _with_tls(found.set(drivername="postgresql+psycopg"))
        case kind:
            raise _unsupported("The CRM connection", kind)


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a ValueError quotes a malformed port, which may be a part of the password
        parsed = None
    if parsed is None or "@" in (parsed.host or ""):
        raise ConfigurationError(
            "The CRM connection's URL cannot be read.",
            next_step="write it as sqlite:////path/crm.db or postgresql://user@host:5432/database; "
            f"{PASSWORD_FIELD} (in a URL, @ is written %40 and : is written %3A).",
        )
    return parsed


def _with_tls(url: URL) -> URL:
    """Return the URL with TLS that verifies the server's certificate and name, unless the URL sets another sslmode.

    A socket and the loopback address need no TLS. https://www.postgresql.org/docs/current/libpq-ssl.html
    """
    named = url.query.get("host") or url.host or os.environ.get("PGHOST") or ""
    hosts = named.split(",") if isinstance(named, str) else list(named)
    if all(not host or host.startswith(("/", "@")) or LOOPBACK & {host, host.partition(":")[0]} for host in hosts):
        return url
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE") or TLS_CHECKED[0]
    if mode not in TLS_MODES:
        raise ConfigurationError(
            "The CRM connection's sslmode is not one of PostgreSQL's.", next_step=f"use {TLS_CHECKED[0]}."
        )
    if mode not in TLS_CHECKED:
        _warn_once(
            f"The CRM connection has sslmode {mode}: somebody in the network can read and change the traffic. "
            f"Remove it, or write {TLS_CHECKED[0]}."
        )
        return url
    options = {"sslmode": str(mode)}
    own = Path("~/.postgresql/root.crt").expanduser()  # libpq looks there by itself
    if not (url.query.get("sslrootcert") or os.environ.get("PGSSLROOTCERT") or own.exists()):
        options["sslrootcert"] = _authorities()
    return url.update_query_dict(options)


def _authorities() -> str:
    """Return the file of the CAs that this machine trusts; the driver's bundled libpq does not know its place."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # what HTTPS uses, too

    found = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return found or DEFAULT_CA_BUNDLE_PATH


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def _url(conn: Connection) -> str | URL:
    """Return the database's URL: the extra `url`, the host if it is a URL, or a URL built from the fields."""
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
        'or {"url": "<SQLAlchemy URL>"} as the extra, and the password in the password field.',
    )


def _unsupported(what: str, kind: str) -> ConfigurationError:
    name = OTHERS.get(kind, repr(kind))
    return ConfigurationError(
        f"{what} names a database of {name}, which is not supported: a load needs features that PostgreSQL and SQLite "
        "share (INSERT ... ON CONFLICT, RETURNING, DDL in transactions).",
        next_step="use PostgreSQL for the CRM's database (or SQLite for a trial): "
        f"{SUPPORTED} describes what is supported, and how to keep the CRM's tables elsewhere.",
    )

"""Connections and variables in a terminal, without the two to three seconds that importing Airflow takes.

Airflow reads its secrets backend, then AIRFLOW_CONN_... and AIRFLOW_VAR_..., then its own database.
This module reads the same, if the environment or airflow.cfg configures it in plain text. For anything else (a secrets
backend, an option that a command prints, several teams) it raises AskAirflow, and the caller imports Airflow.

Sources: airflow.secrets.{environment_variables,metastore}, airflow.sdk.definitions.connection, of Airflow 3.3.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

# Options that change where or how secrets are read.
_ELSEWHERE = (
    ("secrets", "backend"),
    ("workers", "secrets_backend"),
    ("core", "multi_team"),
    ("core", "sql_alchemy_conn"),  # its section in Airflow 2
    ("database", "sql_alchemy_schema"),
    ("database", "sql_alchemy_connect_args"),
)
_NOTHING = ("", "false", "none")


class AskAirflow(Exception):
    """Only Airflow itself can read the connection or variable."""


@dataclass(slots=True)
class TerminalConnection:
    """The part of Airflow's Connection that this project reads."""

    conn_id: str
    conn_type: str | None = None
    description: str | None = None
    host: str | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    port: int | None = None
    extra: str | None = field(default=None, repr=False)

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """The extra as an object, an empty one if it is not JSON."""
        try:
            found = json.loads(self.extra or "{}")
        except json.JSONDecodeError:
            return {}
        return found  # type: ignore[no-any-return]


def connection(conn_id: str) -> TerminalConnection | None:
    """Return the connection with the id; None if it does not exist.  Raises AskAirflow."""
    _require_plain()
    if written := os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}"):
        return parsed(conn_id, written)
    row = _row("connection", "conn_id", conn_id)
    if row is None:
        return None
    return TerminalConnection(
        conn_id,
        conn_type=row["conn_type"],
        description=row["description"],
        host=row["host"],
        schema=row["schema"],
        login=row["login"],
        password=_decrypted(row["password"], row["is_encrypted"]),
        port=row["port"],
        extra=_decrypted(row["extra"], row["is_extra_encrypted"]),
    )


def variable(name: str) -> str | None:
    """Return the variable with the name; None if it does not exist.  Raises AskAirflow."""
    _require_plain()
    if (written := os.environ.get(f"AIRFLOW_VAR_{name.upper()}")) is not None:
        return written
    row = _row("variable", "key", name)
    return None if row is None else _decrypted(row["val"], row["is_encrypted"])


def parsed(conn_id: str, written: str) -> TerminalConnection:
    """Return the connection in an environment variable, which is JSON or a URI.

    Raises AskAirflow for a value of any other form, so that Airflow reports the error.
    """
    try:
        if written.strip().startswith("{"):
            return _of_json(conn_id, json.loads(written))
        return _of_uri(conn_id, written)
    except (ValueError, TypeError, AttributeError):
        raise AskAirflow from None


def _of_json(conn_id: str, values: Mapping[str, Any]) -> TerminalConnection:
    extra = values.get("extra")
    others = {name: value for name, value in values.items() if name not in ("extra", "conn_type", "port")}
    return TerminalConnection(
        conn_id,
        conn_type=_type(values["conn_type"]) if values.get("conn_type") else None,
        port=int(values["port"]) if values.get("port") else None,
        extra=(extra if isinstance(extra, str) else json.dumps(extra)) if extra else None,
        **others,
    )


def _of_uri(conn_id: str, written: str) -> TerminalConnection:
    if written.count("://") != 1:  # a host with its own protocol
        raise AskAirflow
    parts = urlsplit(written)
    host = unquote(parts.hostname or "")
    if "/" in host:  # a path as host: Airflow has special rules for it
        raise AskAirflow
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return TerminalConnection(
        conn_id,
        conn_type=_type(parts.scheme),
        host=host,
        schema=unquote(parts.path[1:]),
        login=unquote(parts.username) if parts.username else parts.username,
        password=unquote(parts.password) if parts.password else parts.password,
        port=parts.port,
        extra=query.get("__extra__", json.dumps(query)) if query else None,
    )


def _type(written: str) -> str:
    return "postgres" if written == "postgresql" else written.replace("-", "_")


def _require_plain() -> None:
    """Raise AskAirflow if secrets can come from anywhere but the environment and Airflow's database."""
    for section, key in _ELSEWHERE:
        if (_option(section, key) or "").strip().lower() not in _NOTHING:
            raise AskAirflow


def _option(section: str, key: str) -> str | None:
    """Return an option of Airflow from the environment or airflow.cfg, None if neither has it.

    Raises AskAirflow if it is a command, the name of a secret, or a text that Airflow would expand.
    """
    name = f"AIRFLOW__{section.upper()}__{key.upper()}"
    written, file = os.environ.get(name), _airflow_cfg(_cfg_path())
    if written is None:
        if name + "_CMD" in os.environ or name + "_SECRET" in os.environ:
            raise AskAirflow
        written = file.get(section, key, fallback=None)
        if written is None and (file.has_option(section, key + "_cmd") or file.has_option(section, key + "_secret")):
            raise AskAirflow
    if written is not None and any(sign in written for sign in "%$~{"):
        raise AskAirflow
    return written


def _home() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()


def _cfg_path() -> Path:
    return (
        Path(os.environ["AIRFLOW_CONFIG"]).expanduser() if "AIRFLOW_CONFIG" in os.environ else _home() / "airflow.cfg"
    )


@cache
def _airflow_cfg(path: Path) -> ConfigParser:
    file = ConfigParser(interpolation=None, strict=False)
    try:
        file.read(path)
    except (ConfigParserError, UnicodeDecodeError, OSError):
        raise AskAirflow from None
    return file


def _row(table: str, key: str, value: str) -> Mapping[str, Any] | None:
    """Return a row of Airflow's own database, or None.  Raises AskAirflow if the database cannot be read."""
    url = _option("database", "sql_alchemy_conn") or f"sqlite:///{_home() / 'airflow.db'}"
    from sqlalchemy import Select, column, create_engine, inspect, make_url, select
    from sqlalchemy import table as table_of
    from sqlalchemy.exc import SQLAlchemyError

    statement: Select[*tuple[Any, ...]] = (
        select(*map(column, _COLUMNS[table]))
        .select_from(table_of(table))
        .where(column(key) == value, column("team_name").is_(None))
    )
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite" and address.database and not Path(address.database).exists():
            return None
        engine = create_engine(address, hide_parameters=True)
        try:
            with engine.connect() as connected:
                if not inspect(connected).has_table(table):  # `airflow db migrate` has not run yet
                    return None
                found = connected.execute(statement).mappings().one_or_none()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError, ValueError):
        raise AskAirflow from None
    return None if found is None else dict(found)


_COLUMNS = {
    "connection": (
        *("conn_type", "description", "host", "schema", "login", "password", "port", "extra"),
        *("is_encrypted", "is_extra_encrypted"),
    ),
    "variable": ("val", "is_encrypted"),
}


def _decrypted(stored: str | None, encrypted: bool) -> str | None:
    """Return a stored text, decrypted with Airflow's Fernet key.  Raises AskAirflow if that fails."""
    if not stored or not encrypted:
        return stored
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    keys = [key.strip() for key in (_option("core", "fernet_key") or "").split(",") if key.strip()]
    try:
        return MultiFernet([Fernet(key) for key in keys]).decrypt(stored.encode()).decode()
    except (ValueError, InvalidToken):
        raise AskAirflow from None

"""Read and apply airflow_settings.yaml: connections, pools and variables in the Astro CLI's format.

Source: https://www.astronomer.io/docs/astro/cli/develop-project (Configure airflow_settings.yaml).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ecw.did_you_mean import did_you_mean
from ecw.errors import ConfigurationError

KEYS = {
    "connections": (
        "conn_id",
        "conn_type",
        "conn_host",
        "conn_schema",
        "conn_login",
        "conn_password",
        "conn_port",
        "conn_extra",
    ),
    "pools": ("pool_name", "pool_slot", "pool_description"),
    "variables": ("variable_name", "variable_value"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of the file: one dict per entry, with the file's own keys, without empty values."""

    connections: tuple[dict[str, Any], ...]
    pools: tuple[dict[str, Any], ...]
    variables: tuple[dict[str, Any], ...]


def read_settings(path: Path, changes: Iterable[str] = ()) -> Settings:
    """Return the content of the file; `changes` such as `ecw_default.conn_host=https://…` override it.

    Raises ConfigurationError, naming the file, the entry and the key.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}).", next_step="name the file with --file."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # only the line number: the parser's message quotes the line, which can hold a password
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: this is not YAML.", next_step="fix the line.") from None
    sections = document.get("airflow") if isinstance(document, dict) else None
    if not isinstance(sections, dict):
        raise ConfigurationError(
            f"{path} has no top key 'airflow'.", next_step="put connections, pools and variables below it."
        )
    _known(path, "the key 'airflow'", sections, KEYS)
    entries = {name: tuple(_entries(path, name, sections.get(name) or ())) for name in KEYS}
    for change in changes:
        _change(entries, change)
    for section, (name_key, *_) in KEYS.items():
        for entry in entries[section]:
            _whole_numbers(f"{path}: {entry[name_key]}", entry)
    return Settings(**entries)


def _entries(path: Path, section: str, listed: Any) -> Iterable[dict[str, Any]]:
    if not isinstance(listed, list | tuple):
        raise ConfigurationError(f"{path}: {section!r} is not a list.", next_step="begin every entry with a dash.")
    name_key = KEYS[section][0]
    for number, entry in enumerate(listed, start=1):
        where = f"entry {number} of {section!r}"
        if not isinstance(entry, dict):
            raise ConfigurationError(f"{path}: {where} is not a table of keys.", next_step=f"give it {name_key!r}.")
        _known(path, where, entry, KEYS[section])
        filled = {key: value for key, value in entry.items() if value not in (None, "")}
        if filled:  # the Astro CLI writes an empty entry into a new file, as a template
            if name_key not in filled:
                raise ConfigurationError(f"{path}: {where} has no {name_key!r}.", next_step="give it one.")
            yield filled


def _whole_numbers(where: str, entry: dict[str, Any]) -> None:
    for key in ("conn_port", "pool_slot"):
        try:
            entry |= {key: int(entry[key])} if key in entry else {}
        except (TypeError, ValueError):
            raise ConfigurationError(f"{where}: {key} is not a whole number.", next_step="give it one.") from None


def _known(path: Path, where: str, found: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in found:
        if key not in known:
            hint = did_you_mean(str(key), list(known))
            raise ConfigurationError(f"{path}: {where} has an unknown key {key!r}.", next_step=hint)


def _change(entries: dict[str, tuple[dict[str, Any], ...]], change: str) -> None:
    """Override one value of the file by `NAME.KEY=VALUE`; `conn_extra.KEY` is a key of a connection's extra."""
    target, equals, value = change.partition("=")
    name, _, key = target.partition(".")
    for section, (name_key, *_) in KEYS.items():
        for entry in entries[section]:
            if entry[name_key] == name and equals and key.split(".")[0] in KEYS[section]:
                key, _, inner = key.partition(".")
                entry[key] = {**(entry.get(key) or {}), inner: value} if inner else value
                return
    raise ConfigurationError(
        f"--set {target!r} matches no entry of the file.",
        next_step="write NAME.KEY=VALUE, as in ecw_default.conn_host=….",
    )


def apply_settings(settings: Settings) -> list[str]:
    """Write the settings to Airflow's metadata database; return one line per entry.

    Existing entries are overwritten. Entries that the file does not name, and passwords that the file leaves empty, are
    kept. Applying the file twice has the same result as once.

    Raises ConfigurationError if Airflow's database has no tables yet, or does not answer.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        return _apply(settings)
    except DBAPIError as error:
        raise ConfigurationError(
            f"Airflow's own database cannot be used ({type(error.orig).__name__}).",
            next_step="set AIRFLOW_HOME to your Airflow's (for the demo: `. .run/env`), or run `airflow db migrate`.",
        ) from None


def _apply(settings: Settings) -> list[str]:
    from airflow.models.connection import Connection
    from airflow.models.pool import Pool
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import select

    lines = []
    with create_session() as session:
        for entry in settings.connections:
            found = session.scalar(select(Connection).where(Connection.conn_id == entry["conn_id"]))
            connection = found or Connection(conn_id=entry["conn_id"])
            connection.conn_type = entry.get("conn_type")
            connection.host = entry.get("conn_host")
            connection.schema = entry.get("conn_schema")
            connection.login = entry.get("conn_login")
            connection.port = entry.get("conn_port")
            extra = entry.get("conn_extra")
            connection.set_extra(extra if isinstance(extra, str) or extra is None else json.dumps(extra))
            if "conn_password" in entry:
                connection.set_password(str(entry["conn_password"]))
            session.add(connection)
            lines.append(f"connection {entry['conn_id']}: {'updated' if found else 'created'}")
        for entry in settings.pools:
            Pool.create_or_update_pool(
                entry["pool_name"],
                entry.get("pool_slot", 1),
                entry.get("pool_description", ""),
                include_deferred=False,
                session=session,
            )
            lines.append(f"pool {entry['pool_name']}: {entry.get('pool_slot', 1)} slots")
        for entry in settings.variables:
            Variable.set(entry["variable_name"], entry.get("variable_value", ""), session=session)
            lines.append(f"variable {entry['variable_name']}: set")
    return lines

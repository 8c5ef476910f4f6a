"""Read Airflow connections and variables by name, in a task and in a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ecw.errors import ConfigurationError
from ecw.settings import terminal

_terminals = 0  # number of open `in_terminal` blocks


class Connection(Protocol):
    """The part of Airflow's Connection that this project reads."""

    conn_id: str
    conn_type: str | None
    host: str | None
    login: str | None
    password: str | None
    port: int | None
    schema: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@contextmanager
def in_terminal() -> Iterator[None]:
    """Inside the block, read connections and variables without importing Airflow, if ecw.settings.terminal can."""
    global _terminals
    _terminals += 1
    try:
        yield
    finally:
        _terminals -= 1


def get(conn_id: str) -> Connection:
    """Return the connection: from a secrets backend, AIRFLOW_CONN_..., or Airflow's own database.

    Raises ConfigurationError if it does not exist.
    """
    if _terminals:
        try:
            found = terminal.connection(conn_id)
        except terminal.AskAirflow:
            pass
        else:
            if found is None:
                raise _unknown(conn_id)
            if "airflow.sdk" not in sys.modules:  # else the importing code needs Airflow's own class
                return found
    # Imported here: `import airflow.sdk` takes seconds, and most commands do not need it.
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        with _metadata_database_allowed():
            return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _unknown(conn_id) from None


def exists(conn_id: str) -> bool:
    """Return True if the connection exists; for optional connections."""
    try:
        get(conn_id)
    except ConfigurationError:
        return False
    return True


def variable(name: str) -> str | None:
    """Return the variable: from AIRFLOW_VAR_..., a secrets backend or Airflow's own database; None if unset."""
    if found := os.environ.get(f"AIRFLOW_VAR_{name.upper()}"):
        return found
    if _terminals:
        try:
            return terminal.variable(name) or None
        except terminal.AskAirflow:
            pass
    from airflow.sdk import Variable

    with _metadata_database_allowed():
        value: object = Variable.get(name, default=None)
    return None if value is None or value == "" else str(value)


def _unknown(conn_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"There is no connection {conn_id!r}.",
        next_step=f"add it in Airflow under Admin > Connections, or set AIRFLOW_CONN_{conn_id.upper()}; "
        "in a terminal, set AIRFLOW_HOME (for the demo: `. .run/env`).",
    )


@contextmanager
def _metadata_database_allowed() -> Iterator[None]:
    """Allow a terminal to read connections from Airflow's metadata database; do not change Airflow's own processes.

    The Task SDK reads that database only in a process marked as a server
    (airflow.sdk.execution_time.supervisor.ensure_secrets_backend_loaded); `airflow connections` sets the same mark.
    A task asks its supervisor instead, which Airflow tries first, whatever the mark.
    """
    name = "_AIRFLOW_PROCESS_CONTEXT"
    if name in os.environ:
        yield
        return
    os.environ[name] = "server"
    try:
        yield
    finally:
        del os.environ[name]

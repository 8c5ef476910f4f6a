"""Airflow connections and variables by their names, in a task and in a terminal alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ecw.errors import ConfigurationError
from ecw.settings import terminal

_terminals = 0  # how many `in_terminal` are open


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
    """Let connections and variables be read without Airflow, where ecw.settings.terminal can and nothing needs it."""
    global _terminals
    _terminals += 1
    try:
        yield
    finally:
        _terminals -= 1


def get(conn_id: str) -> Connection:
    """Return the connection: from a secrets backend, AIRFLOW_CONN_..., or Airflow's own database.

    Raises ConfigurationError where there is none of that id.
    """
    if _terminals:
        try:
            found = terminal.connection(conn_id)
        except terminal.AskAirflow:
            pass
        else:
            if found is None:
                raise _unknown(conn_id)
            if "airflow.sdk" not in sys.modules:  # else whoever imported it needs Airflow's own class
                return found
    # Imported here: `import airflow.sdk` takes seconds that most commands should not.
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        with _metadata_database_allowed():
            return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _unknown(conn_id) from None


def exists(conn_id: str) -> bool:
    """Return True if there is a connection of that id, for those that are optional."""
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
    """Let a terminal read connections from Airflow's metadata database; leave Airflow's own processes as they are.

    The Task SDK reads that database only in a process marked as a server
    (airflow.sdk.execution_time.supervisor.ensure_secrets_backend_loaded); `airflow connections` marks itself so too.
    A task asks its supervisor instead, which is tried first whatever the mark says.
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

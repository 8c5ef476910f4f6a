"""Airflow connections and variables by their names, in a task and in a terminal alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ecw.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def get(conn_id: str) -> Connection:
    """Return the connection: from a secrets backend, AIRFLOW_CONN_..., or Airflow's own database.

    Raises ConfigurationError where there is none of that id.
    """
    # Imported here: `import airflow.sdk` takes a second that `ecw --help` should not.
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        with _metadata_database_allowed():
            return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigurationError(
            f"There is no connection {conn_id!r}.",
            next_move=f"add it in Airflow under Admin > Connections, or set AIRFLOW_CONN_{conn_id.upper()}; "
            "in a terminal, set AIRFLOW_HOME (for the demo: `. .run/env`).",
        ) from None


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
    from airflow.sdk import Variable

    with _metadata_database_allowed():
        value: object = Variable.get(name, default=None)
    return None if value is None or value == "" else str(value)


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

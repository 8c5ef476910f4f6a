"""Which practices there are: each is a connection of type eClinicalWorks, with what include/practices.yaml says of it.

    connections   every connection of type `ecw` is a practice: those in the environment (AIRFLOW_CONN_...), and those
                  that the Variable `ecw_practices` names.  Airflow's API server writes it whenever a connection is
                  saved there, `ecw practice sync` does after connections came another way (docs/decisions/0019).
    the file      where a practice differs: schedule, resources, CRM, overlays, alerts, staging, push on or off.

A DAG's file reads this all the time: no pydantic, no YAML and no database unless there is a file.
"""

from __future__ import annotations

import os
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

from ecw import project_files
from ecw.errors import ConfigurationError
from ecw.settings.practice import DEFAULT_CONNECTION, DEFAULT_CRM, Practice

VARIABLE, FILE = "ecw_practices", "ECW_PRACTICES"
CONN_TYPE = "ecw"
DEFAULT = "default"  # what commands call the practice at ecw_default
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


def practices() -> list[Practice]:
    """Return every practice for the DAGs' files, the one at `ecw_default` first; never none.

    Raises ConfigurationError for a file or a Variable that is wrong.
    """
    from airflow.sdk import Variable

    written = os.environ.get(f"AIRFLOW_VAR_{VARIABLE.upper()}") or Variable.get(VARIABLE, default=None)
    return known(str(written or ""))


def pushing() -> list[Practice]:
    """Return the practices that patients are pushed to."""
    return [each for each in practices() if each.push]


def crms() -> dict[str, str]:
    """Return the connections of the CRMs that practices use, by what the ids of tasks about them end with."""
    found = sorted({each.crm_connection for each in practices()})
    return {"" if conn_id == DEFAULT_CRM else f"__{conn_id}": conn_id for conn_id in found}


def known(written: str = "") -> list[Practice]:
    """Return the practices of the file, of the environment, and of a list of connection ids."""
    found = {each.connection: each for each in of_file(file())}
    for conn_id in [*_ids(written), *_in_environment()]:
        found.setdefault(conn_id, Practice(name_of(conn_id), conn_id))
    if not found:
        return [Practice("")]
    names = sorted(each.name for each in found.values())
    if twice := [name for name, after in pairwise(names) if name == after]:
        raise ConfigurationError(
            f"Two practices are called {twice[0]!r}.",
            next_step="give one of them another name in include/practices.yaml, or rename its connection.",
        )
    return sorted(found.values(), key=lambda each: each.name)


def of_connection(conn_id: str) -> Practice:
    """Return the practice of a connection, as the file says; one that the file does not name has what holds for all."""
    for each in of_file(file()):
        if each.connection == conn_id:
            return each
    return Practice(name_of(conn_id), conn_id)


def named(name: str) -> Practice:
    """Return the practice of this name, or at the connection of this id; "default" is the one at `ecw_default`.

    Raises ConfigurationError with what was meant.
    """
    from ecw.settings import connections
    from ecw.settings.did_you_mean import did_you_mean

    found = {each.name or DEFAULT: each for each in known(connections.variable(VARIABLE) or "")}
    for each in found.values():
        if name in (each.name, each.name or DEFAULT, each.connection):
            return each
    raise ConfigurationError(
        f"There is no practice {name!r}.",
        next_step=f"{did_you_mean(name, list(found))}; `ecw practice list` shows them.",
    )


def name_of(conn_id: str) -> str:
    """Return the name that a connection's practice has where the file gives it none."""
    return "" if conn_id == DEFAULT_CONNECTION else conn_id.removeprefix("ecw_")


def file() -> Path | None:
    """Return the file of practices: what ECW_PRACTICES names, else include/practices.yaml; None where there is none.

    Raises ConfigurationError where ECW_PRACTICES names a file that is not there.
    """
    if asked := os.environ.get(FILE):
        if Path(asked).is_file():
            return Path(asked)
        raise ConfigurationError(f"There is no file {asked}.", next_step=f"fix or remove the variable {FILE}.")
    return project_files.include_file("practices.yaml")


def of_file(path: Path | None) -> tuple[Practice, ...]:
    """Return the practices that a file names, in its order.  Raises ConfigurationError with every mistake in it."""
    if path is None:
        return ()
    return _of_file(path, path.stat().st_mtime_ns)


@cache
def _of_file(path: Path, _changed: int) -> tuple[Practice, ...]:
    from ecw.settings.practices_file import read

    return read(path)


def _ids(written: str) -> list[str]:
    found = [each for each in re.split(r"[\s,;\[\]\"']+", written) if each]
    if wrong := [each for each in found if not _NAME.fullmatch(each)]:
        raise ConfigurationError(
            f"The variable {VARIABLE} holds {wrong[0][:40]!r}, which is no connection's id.",
            next_step="run `ecw practice sync`, which writes it.",
        )
    return found


def _in_environment() -> list[str]:
    """Return the ids of the connections of our type that the environment holds."""
    found = []
    for name, value in os.environ.items():
        if name.startswith("AIRFLOW_CONN_") and _is_ours(value):
            found.append(name.removeprefix("AIRFLOW_CONN_").lower())
    return sorted(found)


def _is_ours(value: str) -> bool:
    if value.startswith(f"{CONN_TYPE}://"):
        return True
    return bool(re.search(rf'"conn_type"\s*:\s*"{CONN_TYPE}"', value)) if value.lstrip().startswith("{") else False

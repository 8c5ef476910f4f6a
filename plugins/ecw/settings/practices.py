"""The practices: each is a connection of type eClinicalWorks, optionally with an entry in include/practices.yaml.

    connections   every connection of type `ecw` is a practice: those in the environment (AIRFLOW_CONN_...), and those
                  that the Variable `ecw_practices` names.  Airflow's API server writes the Variable whenever a
                  connection is saved there; `ecw practice sync` writes it for all others (docs/decisions/0019).
    the file      the settings of a practice that differ: schedule, resources, CRM, mappings, alerts, staging, push.

DAG files call this at every parse: it imports pydantic and YAML only if there is a file, and never a database.
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
DEFAULT = "default"  # the name of the practice at ecw_default in commands
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


def practices() -> list[Practice]:
    """Return every practice, for DAG files, the one at `ecw_default` first; at least one.

    Raises ConfigurationError if the file or the Variable has a mistake.
    """
    from airflow.sdk import Variable

    written = os.environ.get(f"AIRFLOW_VAR_{VARIABLE.upper()}") or Variable.get(VARIABLE, default=None)
    return known(str(written or ""))


def pushing() -> list[Practice]:
    """Return the practices with the push switched on."""
    return [each for each in practices() if each.push]


def crms() -> dict[str, str]:
    """Return the ids of the connections of the practices' CRMs, by the suffix of their task ids."""
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
            f"Two practices have the name {twice[0]!r}.",
            next_step="give one of them another name in include/practices.yaml, or rename its connection.",
        )
    return sorted(found.values(), key=lambda each: each.name)


def of_connection(conn_id: str) -> Practice:
    """Return the practice of a connection: its entry in the file, else one with the common defaults."""
    for each in of_file(file()):
        if each.connection == conn_id:
            return each
    return Practice(name_of(conn_id), conn_id)


def named(name: str) -> Practice:
    """Return the practice with this name or connection id; "default" is the one at `ecw_default`.

    Raises ConfigurationError, with a suggestion, if it does not exist.
    """
    from ecw.did_you_mean import did_you_mean
    from ecw.settings import connections

    found = {each.name or DEFAULT: each for each in known(connections.variable(VARIABLE) or "")}
    for each in found.values():
        if name in (each.name, each.name or DEFAULT, each.connection):
            return each
    raise ConfigurationError(
        f"There is no practice {name!r}.",
        next_step=f"{did_you_mean(name, list(found))}; `ecw practice list` shows them.",
    )


def name_of(conn_id: str) -> str:
    """Return the default name of a connection's practice."""
    return "" if conn_id == DEFAULT_CONNECTION else conn_id.removeprefix("ecw_")


def file() -> Path | None:
    """Return the path of the practices file: ECW_PRACTICES, else include/practices.yaml; None if there is none.

    Raises ConfigurationError if the file that ECW_PRACTICES names does not exist.
    """
    if configured := os.environ.get(FILE):
        if Path(configured).is_file():
            return Path(configured)
        raise ConfigurationError(f"There is no file {configured}.", next_step=f"fix or remove the variable {FILE}.")
    return project_files.include_file("practices.yaml")


def of_file(path: Path | None) -> tuple[Practice, ...]:
    """Return the practices of a file, in its order.  Raises ConfigurationError with every mistake in it."""
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
            f"The variable {VARIABLE} holds {wrong[0][:40]!r}, which is not a connection id.",
            next_step="run `ecw practice sync`, which writes it.",
        )
    return found


def _in_environment() -> list[str]:
    """Return the ids of the connections of type `ecw` in the environment."""
    found = []
    for name, value in os.environ.items():
        if name.startswith("AIRFLOW_CONN_") and _is_ecw(value):
            found.append(name.removeprefix("AIRFLOW_CONN_").lower())
    return sorted(found)


def _is_ecw(value: str) -> bool:
    if value.startswith(f"{CONN_TYPE}://"):
        return True
    return bool(re.search(rf'"conn_type"\s*:\s*"{CONN_TYPE}"', value)) if value.lstrip().startswith("{") else False

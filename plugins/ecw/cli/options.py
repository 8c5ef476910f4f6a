"""The options that choose the practice of a command.

--practice NAME       the practice's name, as in the ids of its DAGs; sets both connections
--conn-id CONN_ID     the connection of eCW, in place of the practice's
--crm-conn-id CONN_ID the connection of the CRM, in place of the practice's
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ecw.settings.practice import DEFAULT_CONNECTION, DEFAULT_CRM, Practice

_PRACTICE = "ecw.practice"
F = TypeVar("F", bound=Callable[..., Any])


def ECW(command: F) -> F:  # noqa: N802 - a decorator, as click's own options are written here
    """Add `--practice` to a command, and `--conn-id` as its argument `conn_id`."""
    return PRACTICE(
        click.option(
            "--conn-id",
            callback=_conn_id,
            help=f"The Airflow connection of eCW. [default: the practice's, {DEFAULT_CONNECTION}]",
        )(command)
    )


def PRACTICE(command: F) -> F:  # noqa: N802
    """Add `--practice` to a command; the other options read it."""
    return click.option(
        "--practice",
        callback=_named,
        expose_value=False,
        is_eager=True,
        metavar="NAME",
        help="The practice: `ecw practice list` names them.",
    )(command)


def CRM(command: F) -> F:  # noqa: N802
    """Add `--crm-conn-id` to a command."""
    return click.option(
        "--crm-conn-id",
        callback=_crm_conn_id,
        help=f"The Airflow connection of the CRM. [default: the practice's, {DEFAULT_CRM}]",
    )(command)


def chosen() -> Practice | None:
    """Return the practice that `--practice` names; None without the option."""
    practice = click.get_current_context().meta.get(_PRACTICE)
    return practice if isinstance(practice, Practice) else None


def chosen_code() -> str | None:
    """Return the code of the practice that `--practice` names, as in the tables; None without the option.

    Raises ConfigurationError if the practice's connection is missing or has no valid address.
    """
    from ecw.fhir.connection import base_url_of, practice_of
    from ecw.settings import connections

    practice = chosen()
    return None if practice is None else practice_of(base_url_of(connections.get(practice.connection)))


def _named(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    from ecw.settings.practices import named

    if value is not None:
        context.meta[_PRACTICE] = named(value)


def _conn_id(context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    practice = context.meta.get(_PRACTICE)
    return str(value or (practice.connection if practice else DEFAULT_CONNECTION))


def _crm_conn_id(context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    from ecw.settings.practices import of_connection

    if value:
        return value
    practice = context.meta.get(_PRACTICE)
    if practice is None:
        practice = of_connection(context.params.get("conn_id") or DEFAULT_CONNECTION)
    return str(practice.crm_connection)

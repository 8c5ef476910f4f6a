"""The practice that a page decides for: the CRM's side of it, over the connections that the DAGs use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from ecw.crm.db.engine import open_crm, reading
from ecw.crm.db.errors import working
from ecw.crm.state.practices import require
from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of, practice_of
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.practice.mappings import mappings_of
from ecw.push.context import CrmSide
from ecw.resources import PUSHED
from ecw.settings import connections, practices
from ecw.settings.practice import DEFAULT_CRM, Practice


@contextmanager
def crm_engine(conn_id: str = DEFAULT_CRM) -> Iterator[Engine]:
    """Give an action the CRM's database.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    with working("This action"), open_crm(conn_id) as engine:
        yield engine


def practice_at(code: str) -> Practice:
    """Return the practice whose connection in this Airflow has that code.

    Raises ConfigurationError where none has.
    """
    codes = []
    for each in practices.known(connections.variable(practices.VARIABLE) or ""):
        try:
            codes.append(practice_of(base_url_of(connections.get(each.connection))))
        except ConfigurationError:  # named, and not there yet, or wrong: that practice's own pull says so
            continue
        if codes[-1] == code:
            return each
    raise ConfigurationError(
        f"No connection of this Airflow is that of practice {code}; they are those of {', '.join(codes) or 'none'}.",
        next_move=f"decide for {code} in the Airflow that synchronises it, or with `ecw --conn-id`.",
    )


def suffixes() -> dict[str, str]:
    """Return what the DAG ids of the practices end with, by the practice's code; of those whose connection says it."""
    found = {}
    for each in practices.known(connections.variable(practices.VARIABLE) or ""):
        try:
            found[practice_of(base_url_of(connections.get(each.connection)))] = each.suffix
        except ConfigurationError:  # Test Connection explains it; this page is about the others
            continue
    return found


@contextmanager
def side_of(practice: str, resource: str = PUSHED) -> Iterator[tuple[CrmSide, str]]:
    """Give the CRM's side of a practice's resource, and the id of its connection; nothing is called.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    at = practice_at(practice)
    [mapping] = mappings_of(at.connection, [resource])
    with crm_engine(at.crm_connection) as engine:
        with reading(engine) as connection:
            require(connection, practice, base_url_of(connections.get(at.connection)))
        yield CrmSide(engine, practice, mapping, resource=resource), at.connection


def mappings_for(practice: str, names: list[str]) -> list[Mapping]:
    """Return mappings as a practice wants them; as the files say, where no connection here is the practice's.

    Raises MappingError.
    """
    try:
        conn_id = practice_at(practice).connection
    except ConfigurationError:
        return [load_mapping(name) for name in names]
    return list(mappings_of(conn_id, names))

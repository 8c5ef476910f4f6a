"""The practice that a page decides for: the CRM's side of it, over the connections that the DAGs use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from ecw.crm.db.engine import open_crm, reading
from ecw.crm.db.errors import working
from ecw.crm.state import practices
from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of, practice_of
from ecw.mapping.definition.model import Mapping
from ecw.practice.mappings import mappings_of
from ecw.push.context import CrmSide
from ecw.resources import PUSHED
from ecw.settings import connections

ECW_CONNECTION = "ecw_default"


@contextmanager
def crm_engine() -> Iterator[Engine]:
    """Give an action the CRM's database.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    with working("This action"), open_crm() as engine:
        yield engine


def require_practice(practice: str) -> str:
    """Return the base URL of a practice, which must be the one that this Airflow's connection names.

    Raises ConfigurationError.
    """
    base_url = base_url_of(connections.get(ECW_CONNECTION))
    if practice_of(base_url) != practice:
        raise ConfigurationError(
            f"The connection {ECW_CONNECTION!r} of this Airflow is that of practice {practice_of(base_url)}, not of "
            f"{practice}.",
            next_move=f"decide for {practice} in the Airflow that synchronises it, or with `ecw --conn-id`.",
        )
    return base_url


@contextmanager
def side_of(practice: str, resource: str = PUSHED) -> Iterator[CrmSide]:
    """Give the CRM's side of a practice's resource; nothing is called.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    base_url = require_practice(practice)
    [mapping] = mappings_of(ECW_CONNECTION, [resource])
    with crm_engine() as engine:
        with reading(engine) as connection:
            practices.require(connection, practice, base_url)
        yield CrmSide(engine, practice, mapping, resource=resource)


def mappings_for(practice: str, names: list[str]) -> list[Mapping]:
    """Return mappings as a practice wants them.  Raises ConfigurationError, MappingError."""
    require_practice(practice)
    return list(mappings_of(ECW_CONNECTION, names))

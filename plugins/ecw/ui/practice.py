"""The practices that the console shows, and the CRM's side of one of them, from the connections that its DAGs use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from ecw.crm.db.engine import open_crm
from ecw.crm.db.errors import working
from ecw.errors import ConfigurationError
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.practice.mappings import PracticeMappings, mappings_of
from ecw.push.context import CrmSide, crm_side
from ecw.reports.configured import configured
from ecw.resources import PUSHED
from ecw.settings.practice import DEFAULT_CRM, Practice


@dataclass(frozen=True, slots=True)
class Site:
    """A practice as the console shows it: its code and its configuration.

    `code` is "" if the practice's connection is missing or has no valid address. `practice` is None if no connection of
    this Airflow has the code; the CRM may still have rows of such a practice.
    """

    code: str
    practice: Practice | None
    crm: str = DEFAULT_CRM  # the connection of the CRM that its rows are in
    suffix: str = ""  # the end of its DAG ids

    def dag_id(self, of: str) -> str:
        """Return the id of one of its DAGs."""
        return f"{of}{self.suffix}"

    def required(self) -> Practice:
        """Return the configuration.

        Raises ConfigurationError if no connection of this Airflow belongs to the practice.
        """
        if self.practice is None:
            raise ConfigurationError(
                f"No connection of this Airflow belongs to the practice {self.code}.",
                next_step=f"act on {self.code} in the Airflow that synchronises it, or with `ecw --conn-id`.",
            )
        return self.practice


@dataclass(frozen=True, slots=True)
class Sites:
    """The practices of this Airflow's connections, and the CRM that has the rows of other practices."""

    ours: tuple[Site, ...]

    @classmethod
    def read(cls) -> Sites:
        """Return the configured practices.  Raises ConfigurationError if a file or a Variable is wrong."""
        return cls(tuple(Site(code, each, each.crm_connection, each.suffix) for code, each in configured()))

    @property
    def codes(self) -> set[str]:
        """The codes of the practices whose connections have one."""
        return {site.code for site in self.ours if site.code}

    @property
    def crms(self) -> list[str]:
        """The connections of all CRMs."""
        return list(dict.fromkeys(site.crm for site in self.ours))

    def other(self, code: str) -> Site:
        """Return a practice without a connection in this Airflow; its rows are read from the default CRM.

        If exactly one configured practice has no code, the DAGs of that practice are used.
        """
        crm = DEFAULT_CRM if DEFAULT_CRM in self.crms else self.crms[0]
        without_code = [site for site in self.ours if not site.code]
        return Site(code, None, crm, without_code[0].suffix if len(without_code) == 1 else "")


@contextmanager
def crm_engine(conn_id: str) -> Iterator[Engine]:
    """Yield the engine of the CRM's database, for an action.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    with working("This action"), open_crm(conn_id) as engine:
        yield engine


@contextmanager
def side_of(site: Site, resource: str = PUSHED) -> Iterator[tuple[CrmSide, str]]:
    """Yield the CRM's side of a practice's resource, and the id of the practice's connection; eCW is not called.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    practice = site.required()
    with crm_engine(practice.crm_connection) as engine:
        yield crm_side(engine, PracticeMappings.at(practice.connection), resource), practice.connection


def mappings_for(site: Site, names: list[str]) -> list[Mapping]:
    """Return the practice's mappings; the project's mapping files if the practice has no connection here.

    Raises MappingError.
    """
    if site.practice is None:
        return [load_mapping(name) for name in names]
    return list(mappings_of(site.practice.connection, names))

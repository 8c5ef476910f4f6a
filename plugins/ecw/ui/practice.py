"""The practices that the console shows, and the CRM's side of one of them, over the connections that its DAGs use."""

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
    """A practice as the console shows it: its code, "" where its connection does not say it, and its configuration.

    `practice` is None where no connection of this Airflow has the code: rows of such a practice may be in the CRM.
    """

    code: str
    practice: Practice | None
    crm: str = DEFAULT_CRM  # the connection of the CRM that its rows are in
    suffix: str = ""  # what its DAG ids end with

    def dag_id(self, of: str) -> str:
        """Return the id of one of its DAGs."""
        return f"{of}{self.suffix}"

    def required(self) -> Practice:
        """Return the configuration.

        Raises ConfigurationError where no connection of this Airflow is the practice's.
        """
        if self.practice is None:
            raise ConfigurationError(
                f"No connection of this Airflow is that of practice {self.code}.",
                next_step=f"decide for {self.code} in the Airflow that synchronises it, or with `ecw --conn-id`.",
            )
        return self.practice


@dataclass(frozen=True, slots=True)
class Sites:
    """The practices of this Airflow's connections, and where the rows of others are looked for."""

    ours: tuple[Site, ...]

    @classmethod
    def read(cls) -> Sites:
        """Return the practices that are configured.  Raises ConfigurationError where a file or a Variable is wrong."""
        return cls(tuple(Site(code, each, each.crm_connection, each.suffix) for code, each in configured()))

    @property
    def codes(self) -> set[str]:
        """The codes that the connections say."""
        return {site.code for site in self.ours if site.code}

    @property
    def crms(self) -> list[str]:
        """The connections of all CRMs."""
        return list(dict.fromkeys(site.crm for site in self.ours))

    def other(self, code: str) -> Site:
        """Return a practice that no connection here has: its rows are looked for in the CRM that practices share.

        Its DAGs are those of the one connection that does not say its code, where there is one.
        """
        crm = DEFAULT_CRM if DEFAULT_CRM in self.crms else self.crms[0]
        silent = [site for site in self.ours if not site.code]
        return Site(code, None, crm, silent[0].suffix if len(silent) == 1 else "")


@contextmanager
def crm_engine(conn_id: str) -> Iterator[Engine]:
    """Give an action the CRM's database.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    with working("This action"), open_crm(conn_id) as engine:
        yield engine


@contextmanager
def side_of(site: Site, resource: str = PUSHED) -> Iterator[tuple[CrmSide, str]]:
    """Give the CRM's side of a practice's resource, and the id of its connection; nothing is called.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    at = site.required()
    with crm_engine(at.crm_connection) as engine:
        yield crm_side(engine, PracticeMappings.at(at.connection), resource), at.connection


def mappings_for(site: Site, names: list[str]) -> list[Mapping]:
    """Return mappings as a practice wants them; as the files say, where no connection here is the practice's.

    Raises MappingError.
    """
    if site.practice is None:
        return [load_mapping(name) for name in names]
    return list(mappings_of(site.practice.connection, names))

"""The context of a pull's step: the run, its plan and options, the CRM, the practice's mappings and client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from sqlalchemy import Engine

from ecw.crm.db.engine import open_crm
from ecw.crm.state import runs
from ecw.errors import ConfigurationError
from ecw.mapping.definition.model import Mapping
from ecw.models import Run
from ecw.practice.mappings import PracticeMappings, connection_of
from ecw.pull import capabilities, run_plan
from ecw.pull.run_plan import Line, Plan
from ecw.settings.pull import Options

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient


@dataclass(frozen=True)
class PullContext:
    """Everything that a step reads once, before it starts; `plan` is None while the run has none yet."""

    run: Run
    engine: Engine
    options: Options
    mappings: PracticeMappings
    plan: Plan | None = None

    @classmethod
    def of(cls, run: Run, engine: Engine, options: Options, plan: Plan | None = None) -> Self:
        """Return the context of a run that has begun.

        Raises ConfigurationError if the connection names another practice than when the run began.
        """
        return cls(run, engine, options, PracticeMappings(connection_of(run)), plan)

    @cached_property
    def client(self) -> EcwClient:
        """The practice's client, with the server capabilities that the run has read.  Raises ConfigurationError."""
        from ecw.practice.client import client_for  # imports Airflow's HttpHook, which most steps do not need

        client = client_for(self.mappings.connection, self.run["run_type"], self.engine)
        capabilities.know(self.run, client)
        return client

    def mapping(self, resource: str) -> Mapping:
        """Return a resource's mapping.  Raises MappingError, ConfigurationError."""
        return self.mappings.of(resource)

    def line(self, resource: str) -> Line:
        """Return the plan for a resource.  Raises ConfigurationError if the run does not cover it."""
        if self.plan is None or resource not in self.plan["resources"]:
            raise ConfigurationError(
                f"The run does not cover {resource}.",
                next_step=f"trigger another run with {resource} among its resources.",
            )
        return self.plan["resources"][resource]


@contextmanager
def open_step(run: Run, resource: str) -> Iterator[PullContext]:
    """Open the context of a resource's step; if the step fails, record the error in the run's row of ecw_run.

    Raises ConfigurationError if a connection names another practice or another CRM than when the run began;
    CorruptBatch if the plan is not in the run's folder; DatabaseUnavailable, CrmSchemaError.
    """
    with open_crm(run["crm_conn_id"]) as engine:
        runs.require_begun(engine, run)  # outside the try: if it fails, this database has no row of the run
        try:
            planned = run_plan.of(run)
            yield PullContext.of(run, engine, run_plan.options_of(planned), planned)
        except BaseException as error:
            runs.fail(engine, run, resource, error)
            raise

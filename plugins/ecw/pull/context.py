"""What a step of a pull works with: the run, the CRM, the run's plan and options, the practice's mappings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from sqlalchemy import Engine

from ecw.crm.db.engine import open_crm
from ecw.crm.state import runs
from ecw.errors import ConfigurationError
from ecw.mapping.definition.model import Mapping
from ecw.models import Run
from ecw.practice.mappings import PracticeMappings, connection_of
from ecw.pull.plan import plan
from ecw.pull.plan.plan import Line, Plan
from ecw.settings.pull import Options


@dataclass(frozen=True)
class PullContext:
    """Everything that a step reads once, before it does anything.

    `plan` is None where the run has none yet; `read_before` are the practice's mappings where they were read already.
    """

    run: Run
    engine: Engine
    options: Options
    plan: Plan | None = None
    read_before: PracticeMappings | None = None

    @classmethod
    def planned(cls, run: Run, engine: Engine, made: Plan) -> Self:
        """Return the context of a run that has this plan."""
        return cls(run, engine, Options(**made["options"]), made)

    @cached_property
    def mappings(self) -> PracticeMappings:
        """The mappings as the practice wants them, each read once.

        Raises ConfigurationError where the connection names another practice than when the run began.
        """
        return self.read_before or PracticeMappings(connection_of(self.run))

    def mapping(self, resource: str) -> Mapping:
        """Return a resource's mapping.  Raises MappingError, ConfigurationError."""
        return self.mappings.of(resource)

    def line(self, resource: str) -> Line:
        """Return the plan for a resource.  Raises ConfigurationError where the run is not about it."""
        if self.plan is None or resource not in self.plan["resources"]:
            raise ConfigurationError(
                f"The run is not about {resource}.",
                next_step=f"trigger another run with {resource} among its resources.",
            )
        return self.plan["resources"][resource]


@contextmanager
def open_step(run: Run, resource: str) -> Iterator[PullContext]:
    """Open a step of a resource: the CRM, the connection, the plan; give the ledger the step's failure.

    Raises ConfigurationError where a connection names another practice, or another CRM, than when the run began;
    CorruptBatch where the plan is not in the run's folder; DatabaseUnavailable, CrmSchemaError.
    """
    with open_crm(run["crm_conn_id"]) as engine:
        runs.require_begun(engine, run)  # not within the try: the failure is none of this database's
        try:
            read = PracticeMappings(connection_of(run))
            made = plan.of(run)
            yield PullContext(run, engine, Options(**made["options"]), made, read)
        except BaseException as error:
            runs.fail(engine, run, resource, error)
            raise

"""What a step of a push works with after `begin`: the run, the CRM, the practice's connection; each read once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine

from ecw.crm.db.engine import open_crm
from ecw.crm.db.errors import working
from ecw.errors import ConfigurationError
from ecw.fhir.retry import RetryPolicy
from ecw.models import Push
from ecw.practice.client import client_for
from ecw.practice.mappings import PracticeMappings, connection_of
from ecw.push.context import Options, Pushing, PushRun
from ecw.push.kill_switch import Allowed
from ecw.push.plan import capability
from ecw.push.progress import KEEP, Progress

IN_FLIGHT = 8  # patients side by side; each holds up to three connections to the CRM: see max_overflow in crm.engine


@dataclass(frozen=True)
class PushContext:
    """Everything that a step reads once, before it does anything."""

    push: Push
    engine: Engine
    mappings: PracticeMappings
    sleep: Callable[[float], None] = time.sleep
    patience: RetryPolicy | None = None  # of a call; None: as every call has it

    @cached_property
    def progress(self) -> Progress:
        """Whom the run takes, and what happened to each."""
        return Progress.of(self.engine, self.push)

    @cached_property
    def allowed(self) -> Allowed:
        """Tells whether the practice's kill switch lets the push go on."""
        return Allowed(self.mappings.practice)

    @property
    def dry_run(self) -> bool:
        """Nothing is sent and nothing is written."""
        return bool(self.push["options"]["dry_run"])

    def pushing(self) -> Pushing:
        """Return what the pushes share; /metadata is called where the run has not kept what it says."""
        # Its calls count as those of a person who waits.
        client = client_for(self.mappings.connection, "manual", self.engine, self.patience)
        capability.know(self.push, client)
        mapping = self.mappings.of(self.push["options"]["resource"])
        run = PushRun(self.push["run_id"], Options.of(self.push), self.allowed, self.sleep)
        return Pushing(self.engine, client, mapping, run)


@contextmanager
def open_step(push: Push) -> Iterator[PushContext]:
    """Open a step: the CRM, and the practice's connection.

    Raises ConfigurationError where a connection names another practice, or another CRM, than when the run began;
    DatabaseUnavailable, CrmSchemaError.
    """
    with open_crm(push["crm_conn_id"]) as engine, working("The push"):
        step = PushContext(push, engine, PracticeMappings(connection_of(push)))
        if push["creates"] + push["updates"] and not step.progress.rows():
            raise ConfigurationError(
                f"This CRM has no plan of the run {push['run_id']}: the connection {push['crm_conn_id']!r} names "
                f"another database than when the run began, or the run is older than {KEEP.days} days.",
                next_step="trigger a new run; to finish this one, point the connection back and clear the task.",
            )
        yield step

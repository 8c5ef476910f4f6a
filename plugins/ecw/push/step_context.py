"""The context of a push's step after `begin`: the run, the CRM, the practice's connection; each is read once."""

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
from ecw.models import Push, RunType
from ecw.practice.client import client_for
from ecw.practice.mappings import PracticeMappings, connection_of
from ecw.push.context import Pushing, PushRun, SendOptions
from ecw.push.kill_switch import Allowed
from ecw.push.plan import capability
from ecw.push.progress import KEEP, Progress

IN_FLIGHT = 8  # concurrent patients; each holds up to three connections to the CRM: see max_overflow in crm.engine


@dataclass(frozen=True)
class PushContext:
    """Everything that a step reads once, before it starts."""

    push: Push
    engine: Engine
    mappings: PracticeMappings
    sleep: Callable[[float], None] = time.sleep
    retry_policy: RetryPolicy | None = None  # of a call; None: the default

    @cached_property
    def progress(self) -> Progress:
        """The run's plan and the results of its patients."""
        return Progress.of(self.engine, self.push)

    @cached_property
    def allowed(self) -> Allowed:
        """The check of the practice's kill switch."""
        return Allowed(self.mappings.practice)

    @property
    def dry_run(self) -> bool:
        """True if nothing is sent and nothing is written."""
        return bool(self.push["options"]["dry_run"])

    def pushing(self) -> Pushing:
        """Return the state that the pushes share; this calls /metadata if the run has not stored its content."""
        # The calls have the priority of a manual run, because a person waits for the push.
        client = client_for(self.mappings.connection, RunType.MANUAL, self.engine, self.retry_policy)
        capability.know(self.push, client)
        mapping = self.mappings.of(self.push["options"]["resource"])
        run = PushRun(self.push["run_id"], SendOptions.of(self.push), self.allowed, self.sleep)
        return Pushing(self.engine, client, mapping, run)


@contextmanager
def open_step(push: Push) -> Iterator[PushContext]:
    """Open the context of a step: the CRM and the practice's connection.

    Raises ConfigurationError if a connection names another practice or another CRM than when the run began;
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

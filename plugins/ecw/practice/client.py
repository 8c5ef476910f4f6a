"""The client of a practice; all clients of the practice share one quota."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ecw.crm.state.quota_store import QuotaStore
from ecw.fhir.client import EcwClient
from ecw.fhir.quota.limiter import Quota
from ecw.fhir.quota.priorities import kind_of
from ecw.fhir.retry import RetryPolicy
from ecw.hooks.ecw import EcwHook
from ecw.models import Run
from ecw.practice.mappings import connection_of

if TYPE_CHECKING:
    from ecw.settings.connections import Connection


def client_for(
    connection: Connection, run_type: str, engine: Engine, retry_policy: RetryPolicy | None = None
) -> EcwClient:
    """Return a client whose calls take permits from the quota that all processes share through the CRM's database.

    It sends nothing yet. Raises ConfigurationError if the connection has a mistake.
    """
    client = EcwHook(connection.conn_id).client(retry_policy=retry_policy, connection=connection)
    calls, store = client.settings.calls_per_minute, QuotaStore(engine)
    client.transport.permits = Quota(store, client.practice, kind_of(run_type), calls_per_minute=calls)
    return client


def client_of(run: Run, engine: Engine) -> EcwClient:
    """Return a client for a run.

    Raises ConfigurationError, also if the connection now names another practice than when the run began.
    """
    return client_for(connection_of(run), run["run_type"], engine)

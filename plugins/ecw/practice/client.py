"""The client of a run: its calls come out of the practice's one budget."""

from __future__ import annotations

from sqlalchemy import Engine

from ecw.crm.state.quota_store import QuotaStore
from ecw.fhir.client import EcwClient
from ecw.fhir.quota.limiter import Quota
from ecw.fhir.quota.priorities import kind_of
from ecw.fhir.retry import RetryPolicy
from ecw.hooks.ecw import EcwHook
from ecw.models import Push, Run
from ecw.practice.mappings import require_same


def client_for(ecw_conn_id: str, run_type: str, engine: Engine, patience: RetryPolicy | None = None) -> EcwClient:
    """Return a client whose calls are permitted by the quota that all processes share through the CRM.

    Raises ConfigurationError; nothing is called yet.
    """
    client = EcwHook(ecw_conn_id).client(patience=patience)
    # Of the client's own settings: the connection may be another one when it is read again.
    calls, store = client.settings.calls_per_minute, QuotaStore(engine)
    client.transport.permits = Quota(store, client.practice, kind_of(run_type), calls_per_minute=calls)
    return client


def client_of(run: Run | Push, engine: Engine, patience: RetryPolicy | None = None) -> EcwClient:
    """Return a client for a step of a run; of a push too, whose calls count as those of a person who waits.

    Raises ConfigurationError, also where the connection names another practice than when the run began.
    """
    run_type = "manual" if "not_sent" in run else run["run_type"]
    client = client_for(run["ecw_conn_id"], run_type, engine, patience)
    require_same(run, client.base_url)
    return client

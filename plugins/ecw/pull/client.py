"""The client of a run: its calls come out of the practice's one budget."""

from __future__ import annotations

from sqlalchemy import Engine

from ecw.api.client import EcwClient
from ecw.api.patience import Patience
from ecw.api.quota import Quota
from ecw.api.shares import kind_of
from ecw.crm.quota import QuotaStore
from ecw.hook import EcwHook
from ecw.pull.practice import require_same
from ecw.words import Push, Run


def client_for(ecw_conn_id: str, run_type: str, engine: Engine, patience: Patience | None = None) -> EcwClient:
    """Return a client whose calls are permitted by the quota that all processes share through the CRM.

    Raises ConfigurationWrong; nothing is called yet.
    """
    client = EcwHook(ecw_conn_id).client(patience=patience)
    # Of the client's own settings: the connection may be another one when it is read again.
    calls, store = client.settings.calls_per_minute, QuotaStore(engine)
    client.transport.permits = Quota(store, client.practice, kind_of(run_type), calls_per_minute=calls)
    return client


def client_of(run: Run | Push, engine: Engine, patience: Patience | None = None) -> EcwClient:
    """Return a client for a step of a run; of a push too, whose calls count as those of a person who waits.

    Raises ConfigurationWrong, also where the connection names another practice than when the run began.
    """
    run_type = "manual" if "kept_back" in run else run["run_type"]
    client = client_for(run["ecw_conn_id"], run_type, engine, patience)
    require_same(run, client.base_url)
    return client

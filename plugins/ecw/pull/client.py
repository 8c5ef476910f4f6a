"""The client of a run: its calls come out of the practice's one budget."""

from __future__ import annotations

from sqlalchemy import Engine

from ecw.api.client import EcwClient
from ecw.api.patience import Patience
from ecw.api.quota import Quota
from ecw.api.settings import EcwSettings
from ecw.api.shares import kind_of
from ecw.crm.quota import QuotaStore
from ecw.hook import EcwHook


def client_for(ecw_conn_id: str, run_type: str, engine: Engine, patience: Patience | None = None) -> EcwClient:
    """Return a client whose calls are permitted by the quota that all processes share through the CRM.

    Raises ConfigurationWrong; nothing is called yet.
    """
    hook = EcwHook(ecw_conn_id)
    settings = EcwSettings.from_connection(hook.get_connection(ecw_conn_id))
    kind = kind_of(run_type)
    quota = Quota(QuotaStore(engine), settings.practice, kind, calls_per_minute=settings.calls_per_minute)
    return hook.client(quota, patience)

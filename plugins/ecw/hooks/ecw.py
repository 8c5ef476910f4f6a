"""The Airflow hook: it makes a client from a connection of type `ecw`."""

from __future__ import annotations

from typing import Any

from airflow.providers.http.hooks.http import HttpHook
from requests import Response, Session
from requests.utils import default_headers

from ecw.errors import EcwError
from ecw.fhir.client import EcwClient
from ecw.fhir.connection import EcwSettings
from ecw.fhir.connection_test import for_anybody, steps
from ecw.fhir.responses import error_of
from ecw.fhir.retry import AT_ONCE, Circuit, Retrier, RetryPolicy
from ecw.fhir.transport import Permits
from ecw.settings import connections


class EcwHook(HttpHook):
    """HttpHook provides session, TLS, proxies and timeouts; this class adds client, tokens and errors of eCW."""

    conn_name_attr = "ecw_conn_id"
    default_conn_name = "ecw_default"
    conn_type = "ecw"
    hook_name = "eClinicalWorks"

    def __init__(self, ecw_conn_id: str = default_conn_name) -> None:
        super().__init__(http_conn_id=ecw_conn_id)
        self.ecw_conn_id = ecw_conn_id

    def get_conn(self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None) -> Session:
        """Return a session without secrets: HttpHook would send unknown extra fields, also keys, as headers."""
        session = super().get_conn(None, extra_options)
        session.headers.clear()
        session.headers.update({**default_headers(), **(headers or {})})
        session.auth = None
        return session

    def client(
        self,
        permits: Permits | None = None,
        retry_policy: RetryPolicy | None = None,
        connection: connections.Connection | None = None,
    ) -> EcwClient:
        """Return a client of the connection's practice, without any request.  `connection`: if it was read already.

        Raises ConfigurationError.
        """
        settings = EcwSettings.from_connection(connection or self.get_connection(self.ecw_conn_id))
        session = self.get_conn()
        retrier = Retrier(retry_policy or RetryPolicy(), Circuit())
        return EcwClient(settings, session, permits=permits, timeout=settings.timeout, retrier=retrier)

    def test_connection(self) -> tuple[bool, str]:
        """Discover the token endpoint, get a token and read once; return (success, message) for Test Connection."""
        try:
            return for_anybody(steps(self.client(retry_policy=AT_ONCE)))
        except EcwError as error:
            return False, str(error)

    def check_response(self, response: Response) -> None:
        """Raise the error for a status other than success; HttpHook would log the whole body."""
        if not response.ok:
            raise error_of(response)

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Return the connection, in a task or in a terminal."""
        return connections.get(conn_id)

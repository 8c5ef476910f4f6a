"""Post a request to the service that verifies benefits: ids and names of fields, never a patient's data."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from airflow.providers.http.hooks.http import HttpHook
from requests import RequestException, Response
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from ecw.errors import BadRequest, ConfigurationError, ServerUnavailable
from ecw.fhir.connection import unchecked
from ecw.fhir.deadline import DeadlineAdapter, deadline
from ecw.settings import connections

TIMEOUT = 30.0  # seconds for a whole answer, unless the connection's extra sets `timeout`
LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
ELSEWHERE = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
}


class WebhookHook(HttpHook):
    """Uses HttpHook's address, login, headers, TLS and proxies, but not its `run`, which logs addresses and answers."""

    def __init__(self, conn_id: str) -> None:
        super().__init__(http_conn_id=conn_id, adapter=DeadlineAdapter())
        self._session = self.get_conn()
        if unchecked(self.base_url, self._session.verify):
            raise ConfigurationError(
                f"The connection {conn_id!r} switches the check of the webhook's certificate off (verify).",
                next_step="remove the field; for a CA of your own, put the path of its certificates into it.",
            )
        self._seconds = float(self.merged_extra.get("timeout") or TIMEOUT)

    def post(self, key: str, body: dict[str, Any]) -> None:
        """Post one request; only the status of the answer is read.

        Raises ServerUnavailable (try again), BadRequest (the receiver refuses this request) or ConfigurationError (it
        would refuse every request).
        """
        try:
            with (
                deadline(self._seconds),
                self._session.post(
                    self.base_url,
                    json=body,
                    headers={"Idempotency-Key": key},
                    timeout=self._seconds,
                    allow_redirects=False,
                    stream=True,  # the body is not read
                ) as answer,
            ):
                self.check_response(answer)
        except (InvalidSchema, InvalidURL, MissingSchema):
            raise ConfigurationError(
                f"The host of the connection {self.http_conn_id!r} is not a valid URL.",
                next_step="put the webhook's whole URL into its host: https://…",
            ) from None
        except RequestException as error:  # its text holds the address, which may hold a secret
            raise ServerUnavailable(
                f"The webhook (connection {self.http_conn_id!r}) did not answer ({type(error).__name__}).",
                next_step="try again; if it happens again, check that the receiver is up and the connection's host is "
                "right.",
            ) from None

    def check_response(self, response: Response) -> None:
        """Raise the error for a status other than success."""
        status = response.status_code
        what = f"The webhook (connection {self.http_conn_id!r}) answered HTTP {status}"
        if status in LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServerUnavailable(
                f"{what}.", next_step="try again; if it happens again, ask the operator of the receiver."
            )
        if status in ELSEWHERE or 300 <= status < 400:
            raise ConfigurationError(
                f"{what}.",
                next_step="fix the host, login or headers of the connection; the requests are kept until then.",
            )
        if not response.ok:
            raise BadRequest(f"{what}.", next_step="ask the operator of the receiver why it refuses the request.")

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Return the connection, both in a task and in a terminal."""
        return connections.get(conn_id)


def webhook(conn_id: str) -> WebhookHook | None:
    """Return the webhook; None if its connection, which is optional, does not exist."""
    return WebhookHook(conn_id) if connections.exists(conn_id) else None

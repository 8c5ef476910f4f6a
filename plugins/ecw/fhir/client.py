"""The client of a practice's FHIR API: read, search and transaction. The rest of the package calls only this."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import orjson
from requests import Response, Session

from ecw.errors import (
    BadRequest,
    ConnectionFailed,
    InvalidResponse,
    OutcomeUnknown,
    RecordNotFound,
    ServerUnavailable,
    TokenRevoked,
    WrongRecord,
)
from ecw.fhir.auth.tokens import Bearer, Purpose, Tokens
from ecw.fhir.capability import Capability
from ecw.fhir.connection import EcwSettings
from ecw.fhir.paging import Page, pages, refuse_unreadable, resources_of
from ecw.fhir.references import others
from ecw.fhir.responses import error_of, json_of, outcome_error
from ecw.fhir.retry import Circuit, Retrier, RetryPolicy
from ecw.fhir.transport import Permits, Transport
from ecw.fhir.urls import parameters, pinned, without_values
from ecw.mapping.values.references import record_of

PAGE_SIZE = 200  # records requested per page, where the server declares `_count`
# HAPI answers a repeated search from a cache for a minute (seen on 8.x). A cached "not found" can be outdated, and a
# create that relies on it would duplicate the patient. Proxies cache reads, too.
FHIR_JSON = {"Accept": "application/fhir+json", "Cache-Control": "no-cache"}
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")  # FHIR R4, id
Json = dict[str, Any]
Params = Mapping[str, str | Sequence[str]]


class EcwClient:
    """Reads and writes one practice.  Thread-safe.

    Every method retries transient errors as its RetryPolicy allows. Then it raises one of ecw.errors:
    a RetryableError if a later try can work, a FatalError if not.
    """

    def __init__(
        self,
        settings: EcwSettings,
        session: Session,
        *,
        permits: Permits | None = None,
        timeout: float | tuple[float, float] | None = None,
        retrier: Retrier | None = None,
    ) -> None:
        self.settings = settings
        self.base_url = settings.base_url
        self.practice = settings.practice
        self.transport = Transport(session, permits, timeout)
        self.tokens = Tokens(settings, self.transport)
        self.retrier = retrier or Retrier(RetryPolicy(), Circuit())
        self._server: Capability | None = None
        self._accepted: set[Purpose] = set()
        self._lock = Lock()

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, token calls included."""
        return self.transport.calls

    def capability(self) -> Json:
        """Fetch the practice's CapabilityStatement, without a token.  It is large: `server` fetches it only once."""
        url = f"{self.base_url}/metadata"
        return self.retrier(lambda: whole(self.transport.send("GET", url, headers=FHIR_JSON)))

    @property
    def server(self) -> Capability:
        """The capabilities that the server declares: as a caller has set them, else fetched once."""
        with self._lock:
            if self._server is None:
                self._server = Capability.parse(self.capability())
            return self._server

    @server.setter
    def server(self, known: Capability) -> None:
        with self._lock:
            self._server = known

    def read(self, fhir_type: str, ecw_id: str) -> Json:
        """Return one resource by its id.

        Raises RecordNotFound if the record does not exist or was merged into another one, WrongRecord if the server
        returned another record of the type, UnreadableRecord if the record is broken, InvalidResponse if the server
        returned anything else, and the errors of every call.
        """
        if not ID.fullmatch(ecw_id):
            raise BadRequest(
                f"A {fhir_type} id of {len(ecw_id)} characters is not a FHIR id.",
                next_step="check where the id came from.",
            )
        if fhir_type == "Practitioner" and "." in ecw_id:
            return self._read_by_search(fhir_type, ecw_id)
        url = f"{self.base_url}/{fhir_type}/{ecw_id}"
        found = refuse_unreadable([self._get(url)], url)[0]
        if found.get("resourceType") == fhir_type and found.get("id") == ecw_id:
            return found
        # FHIR does not define what a server returns for a record that was merged into another: some return the other.
        if found.get("resourceType") == fhir_type and _replaces(found, f"{fhir_type}/{ecw_id}"):
            raise RecordNotFound(
                f"{fhir_type}/{ecw_id}: merged into another record, which the server returned instead.",
                next_step="look for the other record in eCW.",
                who="clinic staff",
            )
        raise (WrongRecord if found.get("resourceType") == fhir_type else InvalidResponse)(
            f"{fhir_type}/{ecw_id} was requested, and the server returned another record.",
            next_step="ask eCW support; nothing of the answer was used.",
        )

    def search(
        self, fhir_type: str, params: Params | None = None, *, purpose: Purpose = Purpose.READ
    ) -> Iterator[list[Json]]:
        """Yield the resources that match, one list per page.

        For a parameter with several values (`date=ge…` and `date=lt…`) pass a list. Pages can repeat records.

        Raises UnreadableRecord if a record cannot be read.
        """
        for page in self.pages(fhir_type, params, purpose=purpose):
            yield refuse_unreadable(page.resources, f"{self.base_url}/{fhir_type}")

    def pages(
        self,
        fhir_type: str,
        params: Params | None = None,
        *,
        purpose: Purpose = Purpose.READ,
        start: str | None = None,
    ) -> Iterator[Page]:
        """Yield the pages of a search, each with the URL of the next page; `start` is such a URL, to resume from.

        The URL holds the values of the parameters: keep it only in the staging area.
        """
        if start is None:
            # The quota of calls is the bottleneck: request large pages, if the server is known to support `_count`.
            takes_count = self._server is not None and self._server.takes(fhir_type, "_count")
            size = {"_count": str(PAGE_SIZE)} if takes_count else {}
            query = urlencode({**(params or {}), **size}, doseq=True)
            start = f"{self.base_url}/{fhir_type}{'?' if query else ''}{query}"
        return pages(
            start,
            lambda url: self._get(url, purpose),
            self.base_url,
            lambda link: self._unsupported(fhir_type, link),
        )

    def transact(self, bundle: Json, *, within: float | None = None) -> Json:
        """POST a transaction Bundle to the base URL and return eCW's answer: a Bundle or an OperationOutcome.

        The POST is retried only if eCW cannot have processed it: no connection, 401, 429. Pass `within` if the
        Bundle depends on values that were just read: it is sent within that many seconds or not at all (RateLimited),
        and it is not retried, because the caller must read the values again first.

        Raises OutcomeUnknown if eCW may have executed the transaction, BadRequest and the errors of every call if it
        has not.
        """
        body = orjson.dumps(bundle)
        if within is None:
            return self.retrier(lambda: self._transact_once(body))
        until = time.monotonic() + within
        return self.retrier.once(lambda: self._transact_once(body, until))

    def request(self, method: str, url: str, purpose: Purpose, **request: Any) -> Response:
        """Send one request with a token and return the answer, whatever its status; after a 401 renew the token once.

        Raises TokenRevoked after a second 401 if tokens of this purpose have worked before: then the app has the
        rights, and the cause can be temporary, such as a renewal by another thread. Raises InvalidResponse, before
        anything is sent, if the URL is outside the practice's base URL; exports may also use the connection's
        `file_urls`.
        """
        response = self._send(method, url, purpose, **request)
        if response.status_code == 401:
            response.close()
            self.tokens.forget(purpose, response.request.headers.get("Authorization"))
            response = self._send(method, url, purpose, **request)
        if response.ok:
            self._accepted.add(purpose)
        elif response.status_code == 401 and purpose in self._accepted:
            self.tokens.forget(purpose, response.request.headers.get("Authorization"))
            raise TokenRevoked(
                f"{method} {without_values(url)}: two tokens in a row were refused, and others had worked.",
                next_step="try again; if it happens again, check whether the app was switched off for this practice.",
            )
        return response

    def _send(self, method: str, url: str, purpose: Purpose, **request: Any) -> Response:
        # The URL can come from the staging area of an earlier try, when the connection named another server.
        url = pinned(url, self.base_url, also=self.settings.file_urls if purpose is Purpose.BULK else ())
        # Fetch the token before the permit is taken: fetching it takes a permit of its own, and can wait for it.
        self.tokens.token(purpose)
        headers = FHIR_JSON | request.pop("headers", {})
        return self.transport.send(method, url, auth=Bearer(self.tokens, purpose), headers=headers, **request)

    def _get(self, url: str, purpose: Purpose = Purpose.READ) -> Json:
        return self.retrier(lambda: whole(self.request("GET", url, purpose)))

    def _transact_once(self, body: bytes, until: float | None = None) -> Json:
        self.tokens.token(
            Purpose.WRITE
        )  # outside of the try: an error of the token request is not an error of the write
        try:
            response = self.request(
                "POST",
                self.base_url,
                Purpose.WRITE,
                data=body,
                headers={"Content-Type": "application/fhir+json"},
                until=until,
            )
            if not 200 <= response.status_code < 300:
                raise error_of(response)
            return json_of(response)  # raises for an empty 202 or 204: without a body the result is not known
        except ConnectionFailed:
            raise
        except (ServerUnavailable, InvalidResponse) as error:  # InvalidResponse: the answer is too large
            raise OutcomeUnknown(
                error.what, next_step="search for the patient in eCW before it is sent again."
            ) from None

    def _read_by_search(self, fhir_type: str, ecw_id: str) -> Json:
        # eCW fails to read a Practitioner by path if the id has a dot: "String index out of range: -1".
        url = f"{self.base_url}/{fhir_type}?{urlencode({'_id': ecw_id})}"
        found = refuse_unreadable(resources_of(self._get(url), url), url)
        if not found:
            raise RecordNotFound(
                f"{fhir_type}/{ecw_id}: not found.", next_step="check whether the record was deleted or merged in eCW."
            )
        if any(resource.get("id") != ecw_id for resource in found):
            raise InvalidResponse(
                f"{fhir_type}?_id={ecw_id} returned {len(found)} records: the server ignored the filter.",
                next_step="ask eCW support; nothing of the answer was used.",
            )
        return found[0]

    def _unsupported(self, fhir_type: str, link: str) -> frozenset[str]:
        """Return the parameters that eCW writes into its links but refuses in requests."""
        if "_count" in parameters(link) and not self.server.takes(fhir_type, "_count"):
            return frozenset({"_count"})
        return frozenset()


def _replaces(resource: Json, reference: str) -> bool:
    """Return True if a record states that `reference` was merged into it (link of type `replaces`)."""
    return any(record_of(other.get("reference")) == reference for other in others(resource, "replaces"))


def whole(response: Response) -> Json:
    """Return the FHIR resource of an answer to a read or a search; raise an error for any other answer."""
    if response.status_code != 200:
        raise error_of(response)
    body = json_of(response, salvage=True)
    if body.get("resourceType") == "OperationOutcome":
        raise outcome_error(response)
    return body

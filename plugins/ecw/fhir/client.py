"""The practice's FHIR API, as the rest of the package sees it."""

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

PAGE_SIZE = 200  # records asked for on a page, where `_count` is declared
# HAPI answers a repeated search from a cache for a minute (seen on 8.x): "not there" may be over by then, and a create
# that was decided by it would double the patient.  Proxies cache reads, too.
FHIR_JSON = {"Accept": "application/fhir+json", "Cache-Control": "no-cache"}
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")  # FHIR R4, id
Json = dict[str, Any]
Params = Mapping[str, str | Sequence[str]]


class EcwClient:
    """Reads and writes one practice.  Thread-safe.

    Every method tries transient errors again, as its patience has it, and then raises one of ecw.errors:
    a RetryableError where a later try can work, a FatalError where not.
    """

    def __init__(
        self,
        settings: EcwSettings,
        session: Session,
        *,
        permits: Permits | None = None,
        timeout: float | tuple[float, float] | None = None,
        trying: Retrier | None = None,
    ) -> None:
        self.settings = settings
        self.base_url = settings.base_url
        self.practice = settings.practice
        self.transport = Transport(session, permits, timeout)
        self.tokens = Tokens(settings, self.transport)
        self.trying = trying or Retrier(RetryPolicy(), Circuit())
        self._server: Capability | None = None
        self._accepted: set[Purpose] = set()
        self._lock = Lock()

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, token calls included."""
        return self.transport.calls

    def capability(self) -> Json:
        """Return the practice's CapabilityStatement; it needs no token.  It is large: `server` is read once."""
        url = f"{self.base_url}/metadata"
        return self.trying(lambda: whole(self.transport.send("GET", url, headers=FHIR_JSON)))

    @property
    def server(self) -> Capability:
        """What the server says it can do: what a caller knew of it, else read once."""
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

        Raises RecordNotFound, also when the record came back that it was merged into; WrongRecord when another one
        of its type did, UnreadableRecord when it is broken, InvalidResponse when something else came back, and what
        every call raises.
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
        # What a server answers for a record that was merged away is its own affair.
        if found.get("resourceType") == fhir_type and _replaces(found, f"{fhir_type}/{ecw_id}"):
            raise RecordNotFound(
                f"{fhir_type}/{ecw_id}: merged into another record, which came back in its place.",
                next_step="look for the other record in eCW.",
                who="clinic staff",
            )
        raise (WrongRecord if found.get("resourceType") == fhir_type else InvalidResponse)(
            f"{fhir_type}/{ecw_id} was asked for, and another record came back.",
            next_step="ask eCW support; nothing of the answer was used.",
        )

    def search(
        self, fhir_type: str, params: Params | None = None, *, purpose: Purpose = Purpose.READ
    ) -> Iterator[list[Json]]:
        """Yield the resources that match, one list a page; raise UnreadableRecord where one of them cannot be read.

        A parameter can have several values (`date=ge…` and `date=lt…`): give a list. Pages can repeat records.
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
        """Yield the pages of a search, each with the address of the next; `start` goes on from such an address.

        The address holds the parameters' values: keep it in the staging area only.
        """
        if start is None:
            # Large pages, where the server is known to let us ask for them: the calls are what is short.
            asks = self._server is not None and self._server.takes(fhir_type, "_count")
            size = {"_count": str(PAGE_SIZE)} if asks else {}
            query = urlencode({**(params or {}), **size}, doseq=True)
            start = f"{self.base_url}/{fhir_type}{'?' if query else ''}{query}"
        return pages(
            start,
            lambda url: self._get(url, purpose),
            self.base_url,
            lambda link: self._unsupported(fhir_type, link),
        )

    def transact(self, bundle: Json, *, within: float | None = None) -> Json:
        """POST a transaction Bundle to the base URL and return what eCW answers, be it a Bundle or an OperationOutcome.

        Tried again only while nothing can have reached the server: no connection, 401, 429. With `within`, what it
        holds was read just now: it is sent in that many seconds or not at all (RateLimited), and not tried again, since
        the caller must read first.

        Raises OutcomeUnknown when eCW may have done it; BadRequest and what every call raises when it has not.
        """
        body = orjson.dumps(bundle)
        if within is None:
            return self.trying(lambda: self._transact_once(body))
        until = time.monotonic() + within
        return self.trying.once(lambda: self._transact_once(body, until))

    def request(self, method: str, url: str, purpose: Purpose, **request: Any) -> Response:
        """Send once, with a token, and return the answer whatever its status; after a 401 renew the token, once.

        Raises TokenRevoked for a second 401 where tokens of this purpose have worked before: then it is no matter
        of rights, and another thread's renewal or a server's hiccup can be between the two. Raises InvalidResponse,
        before anything is sent, for an address outside the practice's base URL; exports also go to what the connection
        allows for them.
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
        # Addresses can come from an earlier try's staging area, when the connection named another server.
        url = pinned(url, self.base_url, also=self.settings.file_urls if purpose is Purpose.BULK else ())
        # The token is there before the permit is taken: fetching it takes a permit of its own, and can wait for it.
        self.tokens.token(purpose)
        headers = FHIR_JSON | request.pop("headers", {})
        return self.transport.send(method, url, auth=Bearer(self.tokens, purpose), headers=headers, **request)

    def _get(self, url: str, purpose: Purpose = Purpose.READ) -> Json:
        return self.trying(lambda: whole(self.request("GET", url, purpose)))

    def _transact_once(self, body: bytes, until: float | None = None) -> Json:
        self.tokens.token(Purpose.WRITE)  # its trouble is not the write's
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
            return json_of(response)  # also of 202 and 204: without eCW's word, what happened to it is not known
        except ConnectionFailed:
            raise
        except (ServerUnavailable, InvalidResponse) as error:  # the latter: too large an answer
            raise OutcomeUnknown(
                error.what, next_step="search for the patient in eCW before it is sent again."
            ) from None

    def _read_by_search(self, fhir_type: str, ecw_id: str) -> Json:
        # A path read of a Practitioner whose id holds a dot fails: "String index out of range: -1".
        url = f"{self.base_url}/{fhir_type}?{urlencode({'_id': ecw_id})}"
        found = refuse_unreadable(resources_of(self._get(url), url), url)
        if not found:
            raise RecordNotFound(
                f"{fhir_type}/{ecw_id}: not there.", next_step="check whether the record was deleted or merged in eCW."
            )
        if any(resource.get("id") != ecw_id for resource in found):
            raise InvalidResponse(
                f"{fhir_type}?_id={ecw_id} brought {len(found)} records: the server ignored the filter.",
                next_step="ask eCW support; nothing of the answer was used.",
            )
        return found[0]

    def _unsupported(self, fhir_type: str, link: str) -> frozenset[str]:
        """Name the parameters that eCW writes into its links but refuses in requests."""
        if "_count" in parameters(link) and not self.server.takes(fhir_type, "_count"):
            return frozenset({"_count"})
        return frozenset()


def _replaces(resource: Json, reference: str) -> bool:
    """Return True if a record tells that another was merged into it."""
    return any(record_of(other.get("reference")) == reference for other in others(resource, "replaces"))


def whole(response: Response) -> Json:
    """Return the FHIR resource that a read or a search answered with; anything else is raised."""
    if response.status_code != 200:
        raise error_of(response)
    body = json_of(response, salvage=True)
    if body.get("resourceType") == "OperationOutcome":
        raise outcome_error(response)
    return body

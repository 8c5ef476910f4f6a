"""HTTP requests: each is counted, takes a permit, has a deadline, and is logged without parameter values."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlsplit

from requests import PreparedRequest, Request, Response, Session
from requests import exceptions as requests_errors

from ecw.errors import ConfigurationError, ConnectionFailed, EcwError, InvalidResponse, RateLimited, ServerUnavailable
from ecw.fhir.deadline import DeadlineAdapter, deadline
from ecw.fhir.urls import without_values

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two bytes; a read takes eCW 2 to 5 s
PIECE = 1 << 16  # bytes that are unpacked at a time: a gzip bomb is detected before it fills the memory
TLS_REFUSED = ("CERTIFICATE", "WRONG_VERSION_NUMBER", "HANDSHAKE_FAILURE", "PROTOCOL_VERSION")  # OpenSSL's reasons
log = logging.getLogger(__name__)
Late = Callable[[], bool]

# urllib3 logs the query of every URL, which holds names and dates of birth: at DEBUG, and in a warning if an answer's
# headers are malformed ("Failed to parse headers").
logging.getLogger("urllib3.connectionpool").addFilter(lambda record: record.levelno > logging.DEBUG)
logging.getLogger("urllib3.connection").addFilter(lambda record: "url=" not in str(record.msg))


class Permits(Protocol):
    """The practice's quota, shared between processes."""

    def __call__(self) -> Late:
        """Wait until one more call is allowed; return a function that returns True once the permit has expired."""

    def spent(self) -> None:
        """Record that the server answered 429."""

    def server_date(self, date: str) -> None:
        """Update the estimate of the server's clock from an answer's Date header (RFC 9110, 5.6.7)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest duration and the largest size of an answer; `file_seconds` is for the files of exports."""

    answer_seconds: float = 180.0
    file_seconds: float = 7200.0
    answer_bytes: int = 64 << 20  # unpacked; a page of 282 patients has 1 MB


class Unlimited:
    """No quota: for a single reader, and for tests."""

    def __call__(self) -> Late:
        """Allow the call; its permit never expires."""
        return lambda: False

    def spent(self) -> None: ...

    def server_date(self, date: str) -> None: ...


class Transport:
    """A requests session that takes a permit for every request and counts it.  Thread-safe."""

    def __init__(
        self,
        session: Session,
        permits: Permits | None = None,
        timeout: float | tuple[float, float] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        adapter = DeadlineAdapter()
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # a shared jar is not thread-safe
        self.session = session
        self.permits = permits or Unlimited()
        self.timeout = timeout or TIMEOUT
        self.limits = limits
        self._calls = 0
        self._environments: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._lock = Lock()

    @property
    def calls(self) -> int:
        """HTTP requests sent so far."""
        return self._calls

    def send(
        self,
        method: str,
        url: str,
        *,
        counted: bool = True,
        stream: bool = False,
        until: float | None = None,
        **request: Any,
    ) -> Response:
        """Send one request and return its answer, whatever its status; redirects are not followed.

        With `stream` the caller reads the body, in pieces. After `until`, in seconds of time.monotonic(), the request
        is not sent. Without `counted` it takes no permit.

        Raises ServerUnavailable if no complete answer arrived in time, InvalidResponse if the answer is too large,
        ConfigurationError if the connection's settings make every request fail, RateLimited if the permit came after
        `until`.
        """
        late = self._permit() if counted else Unlimited()()
        where = f"{method} {without_values(url)}"
        try:
            prepared = self._prepared(Request(method, url, **request), late)
            where = f"{method} {without_values(prepared.url or url)}"
            if until is not None and time.monotonic() > until:
                raise RateLimited(
                    f"{where}: the wait for the quota was too long; the values to send may be outdated.",
                    next_step="try again: the current values are read from eCW first.",
                )
            settings = self._environment(prepared.url or url)
            with deadline(self.limits.file_seconds if stream else self.limits.answer_seconds):
                response = self.session.send(prepared, timeout=self.timeout, allow_redirects=False, **settings)
            if not stream:
                self._read(response, where)
        except (OSError, ValueError) as error:  # requests raises OSErrors; bad files and URLs raise bare ones
            raise explained(error, where) from None
        if counted:
            self._learn(response)
        log.debug("%s: HTTP %s", where, response.status_code)
        return response

    def _permit(self) -> Late:
        """Take the permit of a call, count the call, and return what `Permits` returns."""
        late = self.permits()
        with self._lock:
            self._calls += 1
        return late

    def _prepared(self, request: Request, late: Late) -> PreparedRequest:
        """Prepare a request with its token after the permit was taken, which can take a minute: tokens expire."""
        prepared = self.session.prepare_request(request)
        while late():
            # Preparing may fetch a token, which waits for a permit of its own: the first permit can have expired.
            late = self.permits()
            prepared = self.session.prepare_request(request)
        return prepared

    def _environment(self, url: str) -> Mapping[str, Any]:
        """Return the environment's proxies and CA bundles for a host, as keyword arguments of Session.send.

        Cached per host: requests reads the whole environment twice for each request.
        """
        scheme, host, *_ = urlsplit(url)
        if (scheme, host) not in self._environments:
            self._environments[scheme, host] = self.session.merge_environment_settings(
                url, {}, True, self.session.verify, self.session.cert
            )
        return self._environments[scheme, host]

    def _read(self, response: Response, where: str) -> None:
        """Read the body as `response.content` would; raise InvalidResponse if it is larger than the limit."""
        pieces, size = [], 0
        with response:
            for piece in response.iter_content(PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > self.limits.answer_bytes:
                    raise InvalidResponse(
                        f"{where}: the answer has more than {self.limits.answer_bytes:,} bytes and was not used.",
                        next_step="ask for less in one request (another strategy, fewer patients); "
                        "if it is one record, ask eCW support.",
                    )
        response._content = b"".join(pieces)  # the attribute behind `response.content`

    def _learn(self, response: Response) -> None:
        if date := response.headers.get("Date"):
            self.permits.server_date(date)
        if response.status_code == 429:
            self.permits.spent()


def explained(error: Exception, where: str) -> EcwError:
    """Return the project's error for an error of requests, without the text of the latter: it holds the whole URL."""
    # An InvalidHeader with a request is about the answer's headers; one about the request's own headers has none.
    if isinstance(error, requests_errors.InvalidHeader) and error.request is not None:
        return ServerUnavailable(
            f"{where}: the answer's headers are malformed.",
            next_step="try again; if it happens again, ask the operator of the gateway before eCW.",
        )
    if isinstance(error, ValueError):  # InvalidURL, MissingSchema, InvalidSchema; UnicodeError; a redirect to no URL
        return ConfigurationError(f"{where}: this is not a valid URL.", next_step="check the URLs of the connection.")
    if not isinstance(error, requests_errors.RequestException):
        return ConfigurationError(
            f"{where}: a certificate file does not exist.",
            next_step="check the paths in the connection's extra fields `verify` and `cert`, and REQUESTS_CA_BUNDLE.",
        )
    if isinstance(error, requests_errors.SSLError) and any(sign in repr(error) for sign in TLS_REFUSED):
        return ConfigurationError(
            f"{where}: the server's certificate was not accepted, or it does not speak TLS.",
            next_step="check the base URL's host; behind a TLS-inspecting proxy, put the path of its CA bundle into "
            "the connection's extra field `verify`.",
        )
    return _dropped(error, where)


def _dropped(error: requests_errors.RequestException, where: str) -> ServerUnavailable:
    """Return the error for a connection that failed, or that ended before the answer was complete."""
    kind, move = ServerUnavailable, "try again; if it happens again, check the address and the firewall."
    if isinstance(error, requests_errors.ProxyError):
        kind, how, move = (
            ConnectionFailed,
            "the proxy cannot be reached",
            "check the connection's extra field `proxies`.",
        )
    elif isinstance(error, requests_errors.ConnectTimeout):
        kind, how = ConnectionFailed, "no connection in time"
    elif isinstance(error, requests_errors.Timeout) or "timed out" in repr(error) or "took too long" in repr(error):
        how = "no answer in time"
    elif isinstance(error, requests_errors.ChunkedEncodingError | requests_errors.ContentDecodingError):
        how = "the connection ended in the middle of the answer"
    elif "NameResolution" in repr(error):
        kind, how = ConnectionFailed, "the host's name is not known"
    elif "NewConnection" in repr(error):
        kind, how = ConnectionFailed, "nothing answers at this address"
    else:
        how = "the connection was dropped"
    return kind(f"{where}: {how}.", next_step=move)

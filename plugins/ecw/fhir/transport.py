"""One HTTP request at a time: counted, permitted, timed out, and never logged with its values."""

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
from requests import exceptions as trouble

from ecw.errors import ConfigurationError, ConnectionFailed, EcwError, InvalidResponse, RateLimited, ServerUnavailable
from ecw.fhir.deadline import DeadlineAdapter, deadline
from ecw.fhir.urls import without_values

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two bytes: eCW reads take 2 to 5 s
PIECE = 1 << 16  # bytes of an answer that are unpacked at once: a gzip bomb is noticed before it fills the memory
TLS_REFUSED = ("CERTIFICATE", "WRONG_VERSION_NUMBER", "HANDSHAKE_FAILURE", "PROTOCOL_VERSION")  # OpenSSL's reasons
log = logging.getLogger(__name__)
Late = Callable[[], bool]

# urllib3 logs every path with its query, which holds names and dates of birth: at DEBUG, and as a warning with the
# whole URL when an answer's headers are malformed ("Failed to parse headers").
logging.getLogger("urllib3.connectionpool").addFilter(lambda record: record.levelno > logging.DEBUG)
logging.getLogger("urllib3.connection").addFilter(lambda record: "url=" not in str(record.msg))


class Permits(Protocol):
    """Whoever shares the practice's quota."""

    def __call__(self) -> Late:
        """Wait until one more call is allowed; return the question whether it is too late to make it."""

    def spent(self) -> None:
        """Learn that the server answered 429."""

    def server_date(self, date: str) -> None:
        """Learn the server's clock from an answer's Date header (RFC 9110, 5.6.7)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how large an answer may be, headers included; a file of an export is read in pieces."""

    answer_seconds: float = 180.0
    file_seconds: float = 7200.0
    answer_bytes: int = 64 << 20  # unpacked; a page of 282 patients has one megabyte


class Unlimited:
    """No quota: for one reader, and for tests."""

    def __call__(self) -> Late:
        """Let the call pass; there is no minute to miss."""
        return lambda: False

    def spent(self) -> None: ...

    def server_date(self, date: str) -> None: ...


class Transport:
    """A requests session that asks for a permit before every request and counts it.  Thread-safe."""

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

        With `stream` the caller reads the body, in pieces. `until` is when it is too late to send it, in the seconds of
        time.monotonic().

        Raises ServerUnavailable when no whole answer came in time, InvalidResponse when it is too large,
        ConfigurationError when none can come, RateLimited when the permit came too late.
        """
        late = self._permit() if counted else Unlimited()()
        where = f"{method} {without_values(url)}"
        try:
            prepared = self._prepared(Request(method, url, **request), late)
            where = f"{method} {without_values(prepared.url or url)}"
            if until is not None and time.monotonic() > until:
                raise RateLimited(
                    f"{where}: the wait for the quota was too long for what was to be sent.",
                    next_step="try again, from what eCW has then.",
                )
            settings = self._environment(prepared.url or url)
            with deadline(self.limits.file_seconds if stream else self.limits.answer_seconds):
                response = self.session.send(prepared, timeout=self.timeout, allow_redirects=False, **settings)
            if not stream:
                self._read(response, where)
        except (OSError, ValueError) as error:  # requests' own are OSErrors; files and addresses raise bare ones
            raise explained(error, where) from None
        if counted:
            self._learn(response)
        log.debug("%s: HTTP %s", where, response.status_code)
        return response

    def _permit(self) -> Late:
        """Wait for the permit of a call, and count it."""
        late = self.permits()
        with self._lock:
            self._calls += 1
        return late

    def _prepared(self, request: Request, late: Late) -> PreparedRequest:
        """Prepare a request that has its permit, which can take a minute: the token must be good when it is sent."""
        prepared = self.session.prepare_request(request)
        while late():
            # Preparing may fetch a token, which waits for a permit of its own: the minute can be over.
            late = self.permits()
            prepared = self.session.prepare_request(request)
        return prepared

    def _environment(self, url: str) -> Mapping[str, Any]:
        """Return the proxies and CA bundles that the environment names for a host, as Session.request takes them.

        Read once for each host: requests goes through the whole environment for each request, twice.
        """
        scheme, host, *_ = urlsplit(url)
        if (scheme, host) not in self._environments:
            self._environments[scheme, host] = self.session.merge_environment_settings(
                url, {}, True, self.session.verify, self.session.cert
            )
        return self._environments[scheme, host]

    def _read(self, response: Response, where: str) -> None:
        """Read the body as `response.content` would, up to the largest size."""
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
        response._content = b"".join(pieces)  # where requests keeps it too

    def _learn(self, response: Response) -> None:
        if date := response.headers.get("Date"):
            self.permits.server_date(date)
        if response.status_code == 429:
            self.permits.spent()


def explained(error: Exception, where: str) -> EcwError:
    """Return the project's error for one of requests', without its text, which holds the whole URL."""
    if (
        isinstance(error, trouble.InvalidHeader) and error.request is not None
    ):  # of the answer: ours are without request
        return ServerUnavailable(
            f"{where}: the answer's headers are malformed.",
            next_step="try again; if it happens again, ask the operator of the gateway before eCW.",
        )
    if isinstance(error, ValueError):  # InvalidURL, MissingSchema, InvalidSchema; UnicodeError; a redirect to no URL
        return ConfigurationError(
            f"{where}: this is not an address that can be called.", next_step="check the URLs of the connection."
        )
    if not isinstance(error, trouble.RequestException):
        return ConfigurationError(
            f"{where}: a file of certificates is not there.",
            next_step="check the paths in the connection's extra fields `verify` and `cert`, and REQUESTS_CA_BUNDLE.",
        )
    if isinstance(error, trouble.SSLError) and any(sign in repr(error) for sign in TLS_REFUSED):
        return ConfigurationError(
            f"{where}: the server's certificate was not accepted, or it does not speak TLS.",
            next_step="check the base URL's host; behind a TLS-inspecting proxy, put the path of its CA bundle into "
            "the connection's extra field `verify`.",
        )
    return _dropped(error, where)


def _dropped(error: trouble.RequestException, where: str) -> ServerUnavailable:
    """Return the error for a connection that was not made, or that ended before the answer did."""
    kind, move = ServerUnavailable, "try again; if it happens again, check the address and the firewall."
    if isinstance(error, trouble.ProxyError):
        kind, how, move = (
            ConnectionFailed,
            "the proxy cannot be reached",
            "check the connection's extra field `proxies`.",
        )
    elif isinstance(error, trouble.ConnectTimeout):
        kind, how = ConnectionFailed, "no connection in time"
    elif isinstance(error, trouble.Timeout) or "timed out" in repr(error) or "took too long" in repr(error):
        how = "no answer in time"
    elif isinstance(error, trouble.ChunkedEncodingError | trouble.ContentDecodingError):
        how = "the connection ended in the middle of the answer"
    elif "NameResolution" in repr(error):
        kind, how = ConnectionFailed, "the host's name is not known"
    elif "NewConnection" in repr(error):
        kind, how = ConnectionFailed, "nothing answers at this address"
    else:
        how = "the connection was dropped"
    return kind(f"{where}: {how}.", next_step=move)

"""A small stub server, for answers that no FHIR server would give, and a client."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from requests import Session
from requests.adapters import HTTPAdapter

from ecw.fhir.client import EcwClient
from ecw.fhir.connection import EcwSettings
from ecw.fhir.retry import AT_ONCE, Circuit, Retrier, RetryPolicy
from ecw.fhir.transport import Permits
from tests.fixtures.keys import Keys, self_signed

Answer = Callable[[BaseHTTPRequestHandler], None]


class Wire(ThreadingHTTPServer):
    """A stub server that answers every request with `answer`; `requests` holds the request lines."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []
        self.event = Event()
        self.respond = respond
        self.scheme = "http"
        self.certificate = ""
        self.answer: Answer = lambda request: respond(request, 404)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep the test output quiet: tests drop connections on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: Wire

    def _any(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.answer(self)

    do_GET = do_POST = do_DELETE = _any  # http.server's names  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output quiet."""


def respond(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", length: int | None = None, **headers: str
) -> None:
    """Send an answer; a `length` above the body's drops the connection in the middle of the body."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body) if length is None else length))
    request.end_headers()
    request.wfile.write(body)
    request.close_connection = True


@pytest.fixture
def wire() -> Iterator[Wire]:
    server = Wire()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.event.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def secure_wire(wire: Wire, tmp_path: Path) -> Wire:
    """Return the stub server with TLS and a self-signed certificate; `certificate` is its path."""
    path = self_signed(tmp_path / "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    wire.socket = context.wrap_socket(wire.socket, server_side=True)
    wire.scheme, wire.certificate = "https", str(path)
    return wire


@pytest.fixture(name="respond")
def _says() -> Callable[..., None]:
    return respond


@pytest.fixture
def quick() -> Retrier:
    """Return a Retrier that makes up to eight attempts without waiting."""
    return Retrier(RetryPolicy(8, seconds=0), Circuit(), sleep=lambda seconds: None)


@pytest.fixture
def connect(keys: Keys) -> Callable[..., EcwClient]:
    """Return a function that makes a client without retries; keywords replace settings, e.g. `read_scopes=…`."""

    def client(
        sandbox: Any,
        permits: Permits | None = None,
        timeout: float | None = None,
        retrier: Retrier | None = None,
        **changes: Any,
    ) -> EcwClient:
        settings = {
            "base_url": sandbox.base_url,
            "client_id": keys.client_id,
            "private_key": keys.private_key_pem,
            "key_id": keys.key_id,
            "jwks_url": keys.jwks_url,
        }
        session = Session()
        session.trust_env = False
        session.mount("http://", HTTPAdapter(pool_maxsize=32))
        retrier = retrier or Retrier(AT_ONCE, Circuit())
        return EcwClient(
            EcwSettings(**(settings | changes)), session, permits=permits, timeout=timeout, retrier=retrier
        )

    return client

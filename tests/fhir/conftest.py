"""A server of a few lines, for answers that no FHIR server would give."""

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
    """Answers every request with `answer`; `asked` holds the request lines."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.event = Event()
        self.says = says
        self.scheme = "http"
        self.certificate = ""
        self.answer: Answer = lambda request: says(request, 404)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep the test output quiet: a dropped connection is meant."""


class _Handler(BaseHTTPRequestHandler):
    server: Wire

    def _any(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.answer(self)

    do_GET = do_POST = do_DELETE = _any  # http.server's names  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output quiet."""


def says(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", length: int | None = None, **headers: str
) -> None:
    """Answer; a `length` above the body's drops the connection in the middle of it."""
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
    """The same over TLS, with a certificate of its own making (`certificate` is its path)."""
    path = self_signed(tmp_path / "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    wire.socket = context.wrap_socket(wire.socket, server_side=True)
    wire.scheme, wire.certificate = "https", str(path)
    return wire


@pytest.fixture(name="says")
def _says() -> Callable[..., None]:
    return says


@pytest.fixture
def quick() -> Retrier:
    """Retries without waiting: up to eight attempts."""
    return Retrier(RetryPolicy(8, seconds=0), Circuit(), sleep=lambda seconds: None)


@pytest.fixture
def connect(keys: Keys) -> Callable[..., EcwClient]:
    """Make a client that tries once: `connect(sandbox, read_scopes=…)`; what is given replaces a setting."""

    def client(
        sandbox: Any,
        permits: Permits | None = None,
        timeout: float | None = None,
        trying: Retrier | None = None,
        **given: Any,
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
        trying = trying or Retrier(AT_ONCE, Circuit())
        return EcwClient(EcwSettings(**(settings | given)), session, permits=permits, timeout=timeout, trying=trying)

    return client

"""A server of a few lines, for answers that no FHIR server would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


class Wire(ThreadingHTTPServer):
    """Answers every request with `answer`; `asked` holds the request lines."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.event = Event()
        self.says = says
        self.answer: Answer = lambda request: says(request, 404)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

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


@pytest.fixture(name="says")
def _says() -> Callable[..., None]:
    return says

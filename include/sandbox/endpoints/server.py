"""The server process: two sockets and one event loop. It prints one line of JSON when ready, and ends on SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from include.sandbox.endpoints.app import fhir_app, token_app
from include.sandbox.sandbox import Sandbox


class _Protocol(HttpToolsProtocol):
    """Gives faults access to the connection, to drop it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: `serve` handles the signals for both servers of this process."""
        yield


def listen(port: int) -> socket.socket:
    """Bind 127.0.0.1; port 0 takes a free one.

    Raises OSError when the port is in use.
    """
    # With the protocol's number asyncio sets TCP_NODELAY; without it a response waits 40 ms for the client's ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"port {port}: {error.strerror}; choose another, or 0 for a free one") from None
    return listener


async def serve(sandbox: Sandbox, fhir_socket: socket.socket, token_socket: socket.socket) -> None:
    servers = [(_server(fhir_app(sandbox)), fhir_socket), (_server(token_app(sandbox)), token_socket)]

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    running = asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in servers))
    await asyncio.gather(*(server.ready.wait() for server, _ in servers))
    print(json.dumps(addresses(sandbox)), flush=True)  # noqa: T201 - the line that the parent waits for
    await running
    await sandbox.http.aclose()


def addresses(sandbox: Sandbox) -> dict[str, Any]:
    """Return the real addresses of the server, not the configured public ones."""
    fhir, token = (f"http://127.0.0.1:{port}" for port in (sandbox.place.fhir_port, sandbox.place.token_port))
    return {
        "practice": sandbox.place.practice,
        "base_url": f"{fhir}{sandbox.base_path}",
        "token_url": f"{token}/oauth/oauth2/token",
        "admin_url": f"{token}/admin",
        "pid": os.getpid(),
    }


def _server(app: Starlette) -> _Server:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        lifespan="off",
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    return _Server(config)

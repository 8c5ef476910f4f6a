"""A deadline for a whole answer, headers and body.

The timeout of requests limits only the time between two bytes: a server that sends a byte a minute would block a worker
forever. Here every read of the socket ends at the deadline at the latest.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

CONNECTIONS = 32  # kept open per host; further concurrent requests open a new connection each
# TCP keep-alive detects a firewall that dropped an idle connection; otherwise the request would wait for its timeout.
KEEP_ALIVE = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 5))
        if hasattr(socket, name)
    ),
]
_this_thread = local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Limit the answers to requests sent inside the block to so many seconds, also if they are read after it."""
    _this_thread.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _this_thread.until = None


class _TimedReader(io.RawIOBase):
    """The reading end of a socket; it raises TimeoutError after `until`."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, until: float) -> None:
        self._raw = raw
        self._connection = connection
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole answer took too long")
        silence = self._connection.gettimeout()
        self._connection.settimeout(left if silence is None else min(left, silence))
        try:
            return self._raw.readinto(buffer)
        finally:
            self._connection.settimeout(silence)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        until: float | None = getattr(_this_thread, "until", None)
        if until is not None:
            self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock, until))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class DeadlineAdapter(HTTPAdapter):
    """A transport adapter for requests that applies `deadline` and TCP keep-alive."""

    def __init__(self) -> None:
        super().__init__(pool_connections=4, pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, socket_options=KEEP_ALIVE)
        _with_deadlines(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # PySocks makes these connections
            _with_deadlines(manager)
        return manager


def _with_deadlines(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

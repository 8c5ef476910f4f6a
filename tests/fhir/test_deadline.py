"""An answer has a deadline and a maximum size, whatever the server does."""

import gzip
import threading

import pytest
from requests import Session

from ecw.errors import InvalidResponse, ServerUnavailable
from ecw.fhir.transport import Limits, Transport

QUICK = Limits(answer_seconds=0.3, file_seconds=0.3)
SMALL = Limits(answer_bytes=100_000)


def trickle(wire, *, headers: bool):
    """Answer one byte at a time, without an end; with `headers`, inside the headers, else inside the body."""

    def answer(request) -> None:
        if not headers:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        else:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not wire.event.wait(0.02):
            request.wfile.write(b"x")

    return answer


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("secure", [True, False])
def test_an_answer_that_trickles_in_ends_at_the_deadline(request, wire, headers, secure):
    session = Session()
    if secure:
        session.verify = request.getfixturevalue("secure_wire").certificate
    wire.answer = trickle(wire, headers=headers)
    ended = threading.Event()

    def stop_after_20_seconds() -> None:
        if not ended.wait(20):
            wire.event.set()  # without a deadline the answer would never end

    threading.Thread(target=stop_after_20_seconds, daemon=True).start()
    with pytest.raises(ServerUnavailable, match="no answer in time"):
        Transport(session, timeout=10, limits=QUICK).send("GET", f"{wire.url}/a")
    assert not wire.event.is_set(), "the deadline did not end it"
    ended.set()


def test_a_file_that_trickles_in_ends_at_its_deadline(wire):
    wire.answer = trickle(wire, headers=False)
    response = Transport(Session(), timeout=10, limits=QUICK).send("GET", f"{wire.url}/a", stream=True)
    with response, pytest.raises(OSError, match=r"took too long|timed out"):
        next(piece for piece in response.iter_content(1) if wire.event.is_set())


@pytest.mark.parametrize("packed", [True, False])
def test_an_answer_that_is_too_large_is_an_error(wire, respond, packed):
    body = b" " * 50_000_000 if packed else b" " * 200_000
    more = {"Content_Encoding": "gzip"} if packed else {}
    wire.answer = lambda request: respond(request, 200, gzip.compress(body, 1) if packed else body, **more)
    with pytest.raises(InvalidResponse, match="more than 100,000 bytes"):
        Transport(Session(), limits=SMALL).send("GET", f"{wire.url}/a")


def test_an_answer_of_the_maximum_size_is_read(wire, respond):
    body = b"[" + b" " * 99_998 + b"]"
    packed = gzip.compress(body)
    wire.answer = lambda request: respond(request, 200, packed, Content_Encoding="gzip")
    response = Transport(Session(), limits=SMALL).send("GET", f"{wire.url}/a")
    assert response.content == body
    assert response.json() == []

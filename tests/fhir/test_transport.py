"""One HTTP call: permits, errors of the connection, addresses, and what is logged."""

import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from requests import Session

from ecw.errors import ConfigurationError, ServerUnavailable
from ecw.fhir.transport import Transport


class Counting:
    """Permits that record each event."""

    def __init__(self, late: int = 0) -> None:
        self.notes: list[str] = []
        self._late = late  # the number of permits that run out before their call is sent

    def __call__(self) -> Callable[[], bool]:
        self.notes.append("permit")
        self._late -= 1
        late = self._late >= 0
        return lambda: late

    def spent(self) -> None:
        self.notes.append("spent")

    def server_date(self, date: str) -> None:
        self.notes.append("date" if date.endswith("GMT") else date)


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """Answer one connection with these bytes, whatever the request."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        served = pool.submit(serve)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        served.result(timeout=600)


def drop(request) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)
    request.close_connection = True


def test_every_request_takes_a_permit_and_is_counted(wire, respond):
    wire.answer = lambda request: respond(request, 429)
    permits = Counting()
    transport = Transport(Session(), permits)
    assert transport.send("GET", f"{wire.url}/a").status_code == 429
    assert permits.notes == ["permit", "date", "spent"]
    assert transport.calls == len(wire.requests) == 1


def test_a_permit_that_expired_before_the_request_is_taken_again(wire, respond):
    wire.answer = lambda request: respond(request, 200)
    permits = Counting(late=2)
    transport = Transport(Session(), permits)
    assert transport.send("GET", f"{wire.url}/a").status_code == 200
    assert permits.notes == ["permit", "permit", "permit", "date"]
    assert transport.calls == len(wire.requests) == 1


def test_a_call_that_does_not_go_to_ecw_is_not_counted(wire, respond):
    permits = Counting()
    transport = Transport(Session(), permits)
    transport.send("GET", f"{wire.url}/jwks.json", counted=False)
    assert permits.notes == []
    assert transport.calls == 0


def test_a_redirect_is_not_followed(wire, respond):
    wire.answer = lambda request: respond(request, 302, Location="http://127.0.0.1:1/elsewhere")
    assert Transport(Session()).send("GET", f"{wire.url}/a").status_code == 302
    assert wire.requests == ["GET /a"]


def test_cookies_are_not_kept(wire, respond):
    wire.answer = lambda request: respond(request, 200, Set_Cookie="stuck=1; Path=/")
    transport = Transport(Session())
    transport.send("GET", f"{wire.url}/a")
    assert not transport.session.cookies


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (drop, "dropped"),
        (lambda request: request.server.respond(request, 200, b"{", length=100), "in the middle of the answer"),
        (lambda request: request.server.event.wait(5), "no answer in time"),
    ],
)
def test_an_incomplete_answer_is_server_unavailable_and_quotes_no_values(wire, answer, message):
    wire.answer = answer
    with pytest.raises(ServerUnavailable, match=message) as trouble:
        Transport(Session(), timeout=0.3).send("GET", f"{wire.url}/Patient", params={"family": "Kowalczyk"})
    wire.event.set()
    assert f"GET {wire.url}/Patient?family" in str(trouble.value)
    assert "Kowalczyk" not in str(trouble.value)
    assert trouble.value.__suppress_context__


def test_an_answer_with_a_malformed_length_is_server_unavailable():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}"
    with raw_server(answer) as url, pytest.raises(ServerUnavailable, match="malformed"):
        Transport(Session()).send("POST", url, data=b"{}")


def test_a_malformed_request_header_needs_a_person():
    with pytest.raises(ConfigurationError):
        Transport(Session()).send("GET", "http://127.0.0.1:1/a", headers={"X": "a\nb"})


def test_an_address_where_nothing_listens_is_server_unavailable():
    with pytest.raises(ServerUnavailable, match="nothing answers at this address"):
        Transport(Session()).send("GET", "http://127.0.0.1:1/a")


def test_a_certificate_that_is_not_accepted_needs_a_person(secure_wire):
    with pytest.raises(ConfigurationError, match="certificate was not accepted") as wrong:
        Transport(Session()).send("GET", f"{secure_wire.url}/a")
    assert "verify" in wrong.value.next_step


def test_a_server_without_tls_needs_a_person(wire):
    with pytest.raises(ConfigurationError, match="does not speak TLS"):
        Transport(Session()).send("GET", f"{wire.url}/a".replace("http:", "https:"))


def test_a_tls_connection_that_breaks_is_server_unavailable():
    """A gateway under load closes connections like this."""
    with raw_server(b"") as url, pytest.raises(ServerUnavailable, match="dropped"):
        Transport(Session()).send("GET", url.replace("http:", "https:"))


@pytest.mark.parametrize("option", ["verify", "cert"])
def test_the_error_about_a_missing_certificate_file_names_the_option(option, tmp_path):
    session = Session()
    setattr(session, option, str(tmp_path / "nowhere.pem"))
    with pytest.raises(ConfigurationError, match="certificate file does not exist") as wrong:
        Transport(session).send("GET", "https://127.0.0.1:1/a")
    assert option in wrong.value.next_step


def test_a_redirect_to_an_invalid_url_is_a_configuration_error(wire, respond):
    wire.answer = lambda request: respond(request, 302, Location="http://[bad")
    with pytest.raises(ConfigurationError):
        Transport(Session()).send("GET", f"{wire.url}/a")


@pytest.mark.parametrize("url", ["https://", "nonsense://x/y", "http://.bad..host/", "http://127.0.0.1:99999999/"])
def test_an_invalid_url_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError):
        Transport(Session()).send("GET", url)


def test_no_value_reaches_a_log_at_any_level(wire, respond, caplog):
    wire.answer = lambda request: respond(request, 200, b'{"family": "Kowalczyk"}')
    caplog.set_level(logging.DEBUG)
    Transport(Session()).send("GET", f"{wire.url}/Patient", params={"family": "Kowalczyk", "birthdate": "1980-01-02"})
    assert f"GET {wire.url}/Patient?family&birthdate: HTTP 200" in caplog.text
    assert "Kowalczyk" not in caplog.text
    assert "1980" not in caplog.text


def test_malformed_headers_of_an_answer_put_no_values_into_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno header\r\n\r\n{}") as url:
        assert Transport(Session()).send("GET", url, params={"family": "Kowalczyk"}).status_code == 200
    assert f"GET {url}/?family: HTTP 200" in caplog.text
    assert "Kowalczyk" not in caplog.text

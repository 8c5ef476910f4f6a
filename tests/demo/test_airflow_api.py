"""The demo waits for a slow Airflow and does not fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from include.demo import airflow_api
from include.demo.airflow_api import AirflowApi


class Airflow(ThreadingHTTPServer):
    """Answers each request with the next entry of `script`: a status, or `None` for no answer. Then it answers 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[int | None] = []
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.over = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Airflow

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, json.loads(body or b"{}")))
        status = self.server.script.pop(0) if self.server.script else 200
        if status is None:
            self.server.over.wait(60)
            self.close_connection = True
            return
        answer = b'{"state": "running", "access_token": "t"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = _any  # http.server's names  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output quiet."""


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    monkeypatch.setattr(airflow_api, "ONE_REQUEST", 0.5)
    monkeypatch.setattr(airflow_api, "BETWEEN", 0.01)
    server = Airflow()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


CALLS: dict[str, Callable[[AirflowApi], Any]] = {
    "login": lambda api: api.login(),
    "has_dag": lambda api: api.has_dag("d"),
    "unpause": lambda api: api.unpause("d"),
    "run_state": lambda api: api.run_state("d", "r"),
    "trigger": lambda api: api.trigger("d"),
    "add_connection": lambda api: api.add_connection("c", "http", "h", "{}"),
}


@pytest.mark.parametrize("script", [[None], [500, 503], [None, 502]], ids=str)
@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_repeated_until_it_is_answered(airflow: Airflow, call: str, script: list[int | None]) -> None:
    airflow.script = list(script)
    CALLS[call](AirflowApi(airflow.url))
    assert len(airflow.requests) == len(script) + 1
    assert all(request == airflow.requests[0] for request in airflow.requests)


def test_a_trigger_whose_first_request_had_arrived_starts_one_run(airflow: Airflow) -> None:
    airflow.script = [None, 409]
    run_id = AirflowApi(airflow.url).trigger("d", mode="full")
    assert [body["dag_run_id"] for _, _, body in airflow.requests] == [run_id, run_id]


def test_a_refusal_is_not_repeated(airflow: Airflow) -> None:
    airflow.script = [404]
    with pytest.raises(airflow_api.requests.HTTPError, match="404"):
        AirflowApi(airflow.url).run_state("d", "r")
    assert len(airflow.requests) == 1


def test_a_process_that_ended_stops_the_retries(airflow: Airflow) -> None:
    def ended() -> None:
        raise ChildProcessError("the scheduler process ended by itself")

    airflow.script = [500] * 100
    with pytest.raises(ChildProcessError, match="the scheduler"):
        AirflowApi(airflow.url, before_retry=ended).run_state("d", "r")
    assert len(airflow.requests) == 1


def test_the_last_error_is_reported_when_the_time_is_over(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "ALL_TRIES", 0)
    airflow.script = [500]
    with pytest.raises(airflow_api.requests.HTTPError, match="500"):
        AirflowApi(airflow.url).run_state("d", "r")
    airflow.script = [None]
    with pytest.raises(airflow_api.requests.Timeout):
        AirflowApi(airflow.url).run_state("d", "r")

"""The few calls of Airflow's REST API that the demo makes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import requests

# Seconds. On a busy machine Airflow answers late, or its SQLite file is locked.
ONE_REQUEST = 60
ALL_TRIES = 600
BETWEEN = 1


class AirflowApi:
    """Airflow on this machine, with no login (the demo's simple auth manager accepts everybody)."""

    def __init__(self, url: str, before_retry: Callable[[], None] = lambda: None) -> None:
        """`before_retry` is called before each retry; it may raise to end the retries."""
        self.url = url
        self._before_retry = before_retry
        self._session = requests.Session()
        self._session.trust_env = False  # do not send calls to 127.0.0.1 through a proxy

    def ready(self) -> bool:
        """Return True if every part of Airflow is up."""
        try:
            health = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=ONE_REQUEST).json()
        except (requests.RequestException, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def login(self) -> None:
        """Get a token; the demo's Airflow has no passwords."""
        token = self._answer("GET", f"{self.url}/auth/token").json()["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def has_dag(self, dag_id: str) -> bool:
        """Return True if Airflow has read the DAG's file."""
        return self._answer("GET", f"{self.url}/api/v2/dags/{dag_id}").status_code == 200

    def import_errors(self) -> list[str]:
        """Return the stack traces of DAG files that could not be imported."""
        return [error["stack_trace"] for error in self._call("GET", "importErrors")["import_errors"]]

    def unpause(self, dag_id: str) -> None:
        """Let the schedule start the DAG."""
        self._call("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def read_again(self, dag_id: str) -> None:
        """Let Airflow parse a DAG's file now: the asset watcher of an unpaused DAG starts only at the next parse."""
        token = self._call("GET", f"dags/{dag_id}")["file_token"]
        response = self._answer("PUT", f"{self.url}/api/v2/parseDagFile/{token}")
        if response.status_code != 409:  # its parse is requested already
            response.raise_for_status()

    def trigger(self, dag_id: str, **form: Any) -> str:
        """Trigger a run with these fields of its form; return its id, which is chosen here: a retry is harmless."""
        run_id = f"manual__{uuid.uuid4()}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": form}
        self._post(f"dags/{dag_id}/dagRuns", body)
        return run_id

    def end_interrupted(self, dag_id: str) -> None:
        """Fail the runs that the end of the last demo interrupted: Airflow would wait minutes for their tasks."""
        for state in ("running", "queued"):
            for run in self._call("GET", f"dags/{dag_id}/dagRuns?state={state}")["dag_runs"]:
                self._call("PATCH", f"dags/{dag_id}/dagRuns/{run['dag_run_id']}", {"state": "failed"})

    def add_connection(self, conn_id: str, conn_type: str, host: str, extra: str) -> None:
        """Create a connection."""
        body = {"connection_id": conn_id, "conn_type": conn_type, "host": host, "extra": extra}
        self._post("connections", body)

    def set_variable(self, key: str, value: str) -> None:
        """Create a variable."""
        self._post("variables", {"key": key, "value": value})

    def delete_variable(self, key: str) -> None:
        """Delete a variable, if it exists."""
        answer = self._answer("DELETE", f"{self.url}/api/v2/variables/{key}")
        if answer.status_code != 404:
            answer.raise_for_status()

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the DAG's runs, newest first."""
        answer = self._call("GET", f"dags/{dag_id}/dagRuns?order_by=-run_after&limit=50")
        runs: list[dict[str, Any]] = answer["dag_runs"]
        return runs

    def asset_events(self) -> list[dict[str, Any]]:
        """Return the events of assets."""
        events: list[dict[str, Any]] = self._call("GET", "assets/events?limit=100")["asset_events"]
        return events

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: queued, running, success or failed."""
        return str(self._call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of every task of a run."""
        listed = self._call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in listed}

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._call("GET", f"{path}?deserialize=true")["value"]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._answer(method, f"{self.url}/api/v2/{path}", body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _post(self, path: str, body: dict[str, Any]) -> None:
        """Create an object with an id chosen here; 409 means that an earlier, unanswered request created it."""
        response = self._answer("POST", f"{self.url}/api/v2/{path}", body)
        if response.status_code != 409:
            response.raise_for_status()

    def _answer(self, method: str, url: str, body: dict[str, Any] | None = None) -> requests.Response:
        """Return the response; retry while Airflow does not answer, or answers with a server error."""
        end = time.monotonic() + ALL_TRIES
        while True:
            try:
                response = self._session.request(method, url, json=body, timeout=ONE_REQUEST)
            except (requests.ConnectionError, requests.Timeout):
                if time.monotonic() > end:
                    raise
            else:
                if response.status_code < 500 or time.monotonic() > end:
                    return response
            self._before_retry()
            time.sleep(BETWEEN)


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 1) -> bool:
    """Check the condition until it is true, and return True; return False after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True

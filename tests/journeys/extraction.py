"""One attempt to extract all resources, as a task does it, in a process that can be killed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from dataclasses import dataclass
from typing import Any

from requests import Response, Session

from ecw.crm.db.engine import engine_from_url
from ecw.fhir.client import EcwClient
from ecw.fhir.connection import EcwSettings
from ecw.fhir.retry import Circuit, Retrier, RetryPolicy
from ecw.models import Run
from ecw.pull.context import PullContext
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.extract import extract_records
from ecw.pull.extract.known_ids import KnownIds
from ecw.resources import RESOURCES, Resource
from ecw.settings.pull import Options
from ecw.staging import batch_file, filesystem

# The strategy of each resource if the server does not list changes.
FIVE = tuple(
    (resource, next(name for name in resource.strategies if name != "last_updated")) for resource in RESOURCES.values()
)
EVERY_DAY = Options(initial_sync_back_days=2000, look_ahead_days=2000)  # the sandbox has appointments from 2024 to 2029


@dataclass(frozen=True)
class Death:
    """When a process is killed: `seconds` after its request number `requests`."""

    requests: int
    seconds: float


class Mortal(Session):
    """A session that kills its own process; the moment does not depend on the time that the process took to start."""

    def __init__(self, death: Death) -> None:
        super().__init__()
        self.death = death
        self.sent = itertools.count(1)

    def send(self, *args: Any, **kwargs: Any) -> Response:
        if next(self.sent) == self.death.requests:
            timer = threading.Timer(self.death.seconds, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()
        return super().send(*args, **kwargs)


@dataclass(frozen=True)
class Try:
    """The parameters of an attempt; they must be picklable."""

    base_url: str
    client_id: str
    key_id: str
    private_key: str
    crm_url: str
    staging: str

    @property
    def run(self) -> Run:
        return Run(
            practice="FFSAND",
            base_url=self.base_url,
            run_id="journey",
            run_type="scheduled",
            mode="changes",
            window_start=None,
            window_end="2026-11-22T10:00:00+00:00",
            ecw_conn_id="ecw_test",
            crm_conn_id="",
            staging=self.staging,
        )

    def batch(self, resource: Resource) -> str:
        return filesystem.join(self.staging, resource.name, "extract.ndjson.gz")

    def done(self) -> bool:
        return all(batch_file.manifest(self.batch(resource)) for resource, _ in FIVE)

    def client(self, death: Death | None) -> EcwClient:
        settings = EcwSettings(self.base_url, self.client_id, private_key=self.private_key, key_id=self.key_id)
        retry_policy = RetryPolicy(attempts=12, seconds=60, longest_wait=0.05)
        return EcwClient(
            settings, Mortal(death) if death else Session(), retrier=Retrier(retry_policy, Circuit(failures=10_000))
        )


def extract_everything(this: Try, death: Death | None) -> None:
    """Extract every resource that has no complete batch yet, one after the other."""
    # KnownIds reads the connection for mapping files of the practice; it names none.
    os.environ["AIRFLOW_CONN_ECW_TEST"] = json.dumps({"conn_type": "ecw", "host": this.base_url})
    client, engine = this.client(death), engine_from_url(this.crm_url)
    for resource, strategy in FIVE:
        if batch_file.manifest(this.batch(resource)) is None:
            known_ids = KnownIds(PullContext.of(this.run, engine, EVERY_DAY))
            extract_records(ExtractContext(this.run, resource, EVERY_DAY, known_ids), client, [strategy])

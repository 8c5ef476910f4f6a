"""The extractions that bench/extract.py measures; a process of its own if memory is measured."""

from __future__ import annotations

import json
import os
import resource as system
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ecw.fhir.client import EcwClient
from ecw.models import Run
from ecw.pull.extract.context import ExtractContext, Known
from ecw.pull.extract.extract import extract_records
from ecw.resources import RESOURCES, Resource
from ecw.settings.pull import Options
from ecw.staging import batch_file, filesystem

# The first strategy of each resource that does not need a search for changes.
FIVE = tuple(
    (resource, next(strategy for strategy in resource.strategies if strategy != "last_updated"))
    for resource in RESOURCES.values()
)


class StagedIds:
    """The known ids of a run without a CRM: those that were loaded, and those that the run has staged."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.loaded: dict[str, list[str]] = {}

    def known(self, resource: str) -> list[str]:
        return self.loaded.get(resource) or staged(self.folder, resource)

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        return []

    def deleted_ids(self, resource: str) -> set[str]:
        return set()

    def merged(self, resource: str) -> set[str]:
        return set()

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        return []

    def refused(self, resource: str) -> list[str]:
        return []

    def beginning(self, resource: str, start: datetime, end: datetime) -> list[str]:
        return []

    def of_patients(self, resource: str, patients: Sequence[str]) -> list[str]:
        return []

    def beginnings(self, resource: str) -> set[str]:
        return set()

    def required_ids(self, resource: str) -> list[str]:
        return []

    def urgent(self) -> list[str]:
        return []

    def unlinked_patients(self) -> list[str]:
        return []


class Practice:
    """Extractions of one practice, in several runs."""

    def __init__(self, client: EcwClient, root: str) -> None:
        self.client = client
        self.root = root
        self.loaded: dict[str, list[str]] = {}

    def extract_everything(self, run_id: str, start: str | None, end: str) -> int:
        """Extract all resources; return the number of calls."""
        before = self.client.calls
        known_ids = StagedIds(filesystem.join(self.root, run_id))
        known_ids.loaded = self.loaded
        for resource, strategy in FIVE:
            self.extract(run_id, resource, strategy, known_ids, start, end)
        return self.client.calls - before

    def extract(
        self, run_id: str, resource: Resource, strategy: str, known_ids: Known, start: str | None, end: str
    ) -> int:
        """Extract one resource; return the number of records."""
        run = Run(
            practice=self.client.practice,
            base_url=self.client.base_url,
            run_id=run_id,
            run_type="scheduled",
            mode="changes",
            window_start=start,
            window_end=end,
            ecw_conn_id="",
            crm_conn_id="",
            staging=filesystem.join(self.root, run_id),
        )
        return extract_records(ExtractContext(run, resource, Options(), known_ids), self.client, [strategy])["count"]

    def load(self, run_id: str) -> None:
        """Treat the records of a run as loaded."""
        self.loaded = {resource.name: staged(filesystem.join(self.root, run_id), resource.name) for resource, _ in FIVE}


def staged(folder: str, resource: str) -> list[str]:
    """Return the ids that a run has staged."""
    path = filesystem.join(folder, resource, "extract.ndjson.gz")
    return [record["id"] for record in batch_file.read(path)] if batch_file.manifest(path) else []


def as_in_a_task(connection: dict[str, Any]) -> EcwClient:
    """Return a client that is created by Airflow's hook and connection, as in a task."""
    from ecw.hooks.ecw import EcwHook

    extra = {name: connection[name] for name in ("private_key", "key_id")}
    document = {"conn_type": "ecw", "host": connection["base_url"], "login": connection["client_id"], "extra": extra}
    os.environ["AIRFLOW_CONN_ECW_BENCH"] = json.dumps(document)
    return EcwHook("ecw_bench").client()


def main() -> None:
    """Extract the patients by name_sweep; print their number and this process's peak memory in KB."""
    patient, strategy = FIVE[2]
    folder = sys.argv[1]
    practice = Practice(as_in_a_task(json.load(sys.stdin)), folder)
    practice.extract("peak", patient, strategy, StagedIds(folder), None, "2026-11-22T10:00:00+00:00")
    peak = system.getrusage(system.RUSAGE_SELF).ru_maxrss
    count = len(staged(filesystem.join(folder, "peak"), patient.name))
    print(count, peak)


if __name__ == "__main__":
    main()

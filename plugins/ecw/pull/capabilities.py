"""The capabilities of a practice's server: read once a run, stored for its tasks, compared with the last run's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ecw.fhir.capability import Capability
from ecw.models import Run
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient

FILE = "capability.json"
log = logging.getLogger(__name__)


def read_server(run: Run, client: EcwClient) -> Capability:
    """Read /metadata, log what has changed since the last run, and store it.

    It is stored twice: in the practice's folder for the next run, and in the run's folder for its tasks.
    """
    path = filesystem.join(batch_file.practice_folder(run["staging"]), FILE)
    server, before = client.server, batch_file.read_json(path)
    if before is not None:
        for change in server.changes_since(Capability.of_text(before)):
            log.warning("The server has changed: %s.", change)
    if before != server.text():
        batch_file.write_json(path, server.text())
    batch_file.write_json(_of_run(run), server.text())
    return server


def know(run: Run, client: EcwClient) -> None:
    """Give a task's client the capabilities that the run has read, if they are stored."""
    stored = batch_file.read_json(_of_run(run))
    if stored is not None:
        client.server = Capability.of_text(stored)


def _of_run(run: Run) -> str:
    return filesystem.join(run["staging"], FILE)

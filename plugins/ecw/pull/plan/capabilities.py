"""What a practice's server can do: read once a run, kept for its tasks, and compared with the run before."""

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
    """Read /metadata, tell what changed since the last time, and keep it beside the practice's runs.

    It is kept in the run's folder, too: its tasks need not read it again.
    """
    path = filesystem.join(batch_file.practice_folder(run["staging"]), FILE)
    found, before = client.server, batch_file.read_json(path)
    if before is not None:
        for change in found.changes_since(Capability.of_text(before)):
            log.warning("The server has changed: %s.", change)
    if before != found.text():
        batch_file.write_json(path, found.text())
    batch_file.write_json(_of_run(run), found.text())
    return found


def know(run: Run, client: EcwClient) -> None:
    """Let a task's client know what the run has read."""
    kept = batch_file.read_json(_of_run(run))
    if kept is not None:
        client.server = Capability.of_text(kept)


def _of_run(run: Run) -> str:
    return filesystem.join(run["staging"], FILE)

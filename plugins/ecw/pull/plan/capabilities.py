"""What a practice's server can do: read once a run, kept for its tasks, and compared with the run before."""

from __future__ import annotations

import logging

from ecw.fhir.capability import Capability
from ecw.fhir.client import EcwClient
from ecw.models import Run
from ecw.staging import batch_file, filesystem

FILE = "capability.json"
log = logging.getLogger(__name__)


def abilities(client: EcwClient, root: str) -> Capability:
    """Read /metadata, tell what changed since the last time, and keep it beside the practice's runs."""
    path = filesystem.join(root, batch_file.segment(client.practice), FILE)
    found, before = client.server, batch_file.read_json(path)
    if before is not None:
        for change in found.changes_since(Capability.of_text(before)):
            log.warning("The server has changed: %s.", change)
    if before != found.text():
        batch_file.write_json(path, found.text())
    return found


def keep(run: Run, found: Capability) -> None:
    """Keep it for the tasks of a run, which need not read it again."""
    batch_file.write_json(filesystem.join(run["staging"], FILE), found.text())


def know(run: Run, client: EcwClient) -> None:
    """Let a task's client know what the run has read."""
    kept = batch_file.read_json(filesystem.join(run["staging"], FILE))
    if kept is not None:
        client.server = Capability.of_text(kept)

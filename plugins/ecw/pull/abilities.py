"""What a practice's server can do, kept from run to run so that a change is noticed."""

from __future__ import annotations

import logging

from ecw.api.capability import Capability
from ecw.api.client import EcwClient
from ecw.pull import staging, store

log = logging.getLogger(__name__)


def abilities(client: EcwClient, root: str) -> Capability:
    """Read /metadata, tell what changed since the last time, and keep it beside the practice's runs."""
    path = store.join(root, staging.segment(client.practice), "metadata.json")
    statement = client.capability()
    found, before = Capability.parse(statement), staging.read_json(path)
    if before is not None:
        for change in found.changes_since(Capability.parse(before)):
            log.warning("The server has changed: %s.", change)
    if before != statement:
        staging.write_json(path, statement)
    return found

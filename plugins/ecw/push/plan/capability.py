"""What the practice's server can do: read when a run begins, carried with the run, taken by its later steps.

The statement of a large server is 1.5 MB; of the type that is pushed, a KB or two are left.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from ecw.errors import EcwError
from ecw.fhir.capability import Capability
from ecw.fhir.client import EcwClient
from ecw.models import KeptCapability, Push

KEEP = timedelta(hours=25)  # an approval waits up to a day; a task that is cleared later reads it again
log = logging.getLogger(__name__)


def keep(push: Push, client: EcwClient, fhir_type: str) -> None:
    """Read /metadata, and keep with the run what it says of one type; where that fails, the next step asks."""
    try:
        found = client.server.of_type(fhir_type)
    except EcwError as error:
        log.info("What the server can do was not read, the next step asks again: %s", error.what)
        return
    push["server"] = KeptCapability(read_at=datetime.now(UTC).isoformat(), statement=found.text())


def know(push: Push, client: EcwClient) -> None:
    """Let a step's client know what the run has read; what is old or unreadable is left, and read by the client."""
    kept = push.get("server")
    if kept is None:
        return
    try:
        if datetime.now(UTC) - datetime.fromisoformat(kept["read_at"]) < KEEP:
            client.server = Capability.of_text(kept["statement"])
    except (ValueError, TypeError, LookupError, AttributeError):  # what another release of this package has kept
        log.info("What the run knew of the server cannot be read; it is asked again.")

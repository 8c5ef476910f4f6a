"""The capabilities of the practice's server: read when a run begins, stored with the run, used by its later steps.

The capability statement of a large server has 1.5 MB; the part about the pushed type has one or two KB.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from ecw.errors import EcwError
from ecw.fhir.capability import Capability
from ecw.fhir.client import EcwClient
from ecw.models import KeptCapability, Push

KEEP = timedelta(hours=25)  # an approval waits up to a day; a task that is cleared later reads /metadata again
log = logging.getLogger(__name__)


def keep(push: Push, client: EcwClient, fhir_type: str) -> None:
    """Read /metadata and store its part about one type with the run; if that fails, the next step reads it."""
    try:
        server = client.server.of_type(fhir_type)
    except EcwError as error:
        log.info("The server's capabilities could not be read; the next step tries again: %s", error.what)
        return
    push["server"] = KeptCapability(read_at=datetime.now(UTC).isoformat(), statement=server.text())


def know(push: Push, client: EcwClient) -> None:
    """Give a step's client the stored capabilities; if they are too old or unreadable, the client reads them."""
    kept = push.get("server")
    if kept is None:
        return
    try:
        if datetime.now(UTC) - datetime.fromisoformat(kept["read_at"]) < KEEP:
            client.server = Capability.of_text(kept["statement"])
    except (ValueError, TypeError, LookupError, AttributeError):  # stored by another release of this package
        log.info("The server's stored capabilities cannot be read; they are fetched again.")

"""How a record that eCW no longer has travels through the steps: as a tombstone in the extract batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecw.crm.db.enums import DELETED
from ecw.fhir.references import others
from ecw.mapping.values.references import record_of

TAG = {"system": "urn:ecw:sync", "code": DELETED}


def tombstone(fhir_type: str, ecw_id: str) -> dict[str, Any]:
    """Return what is staged in a record's place."""
    return {"resourceType": fhir_type, "id": ecw_id, "meta": {"tag": [TAG]}}


def is_tombstone(resource: Mapping[str, Any]) -> bool:
    """Return True if eCW no longer has the record."""
    meta = resource.get("meta")
    return isinstance(meta, Mapping) and meta.get("tag") == [TAG]


def merged_into(resource: Mapping[str, Any]) -> str | None:
    """Return the reference of the record that a record was merged into, as far as it says so; None: it was not."""
    other = next(others(resource, "replaced-by"), None)
    if other is None:
        return None
    return record_of(other.get("reference")) or "another record"  # what is no reference is a text of the server's

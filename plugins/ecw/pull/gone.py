"""How a record that eCW no longer has travels through the steps: as a tombstone in the extract batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RULE = "gone"  # among the rejects
TAG = {"system": "urn:ecw:sync", "code": "gone"}


def tombstone(fhir_type: str, ecw_id: str) -> dict[str, Any]:
    """Return what is staged in a record's place."""
    return {"resourceType": fhir_type, "id": ecw_id, "meta": {"tag": [TAG]}}


def is_tombstone(resource: Mapping[str, Any]) -> bool:
    """Say whether eCW no longer has the record."""
    meta = resource.get("meta")
    return isinstance(meta, Mapping) and meta.get("tag") == [TAG]

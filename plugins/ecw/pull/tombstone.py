"""Tombstones: they stand in the extract batch for records that were deleted in eCW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecw.crm.db.enums import DELETED
from ecw.fhir.references import others
from ecw.mapping.values.references import record_of

TAG = {"system": "urn:ecw:sync", "code": DELETED}


def tombstone(fhir_type: str, ecw_id: str) -> dict[str, Any]:
    """Return the tombstone that is staged for a deleted record."""
    return {"resourceType": fhir_type, "id": ecw_id, "meta": {"tag": [TAG]}}


def is_tombstone(resource: Mapping[str, Any]) -> bool:
    """Return True if a staged resource is a tombstone."""
    meta = resource.get("meta")
    return isinstance(meta, Mapping) and meta.get("tag") == [TAG]


def merged_into(resource: Mapping[str, Any]) -> str | None:
    """Return the reference of the record into which eCW merged a record, or None if the record names none."""
    other = next(others(resource, "replaced-by"), None)
    if other is None:
        return None
    return record_of(other.get("reference")) or "another record"  # not the server's text, if that is not a reference

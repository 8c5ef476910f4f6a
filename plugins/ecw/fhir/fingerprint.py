"""Whether two copies of a record say the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson


def content_hash(resource: Mapping[str, Any]) -> str:
    """Return the hash of what a resource says: SHA-256 of its JSON, keys sorted, without the parts of `meta` that
    change although nothing else did.
    """
    meta = resource.get("meta")
    if isinstance(meta, dict):
        kept = {key: value for key, value in meta.items() if key not in ("lastUpdated", "versionId")}
        resource = {**resource, "meta": kept}
    return hashlib.sha256(orjson.dumps(resource, option=orjson.OPT_SORT_KEYS)).hexdigest()

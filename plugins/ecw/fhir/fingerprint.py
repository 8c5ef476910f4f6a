"""The content hash of a resource: equal for two copies with the same content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson


def content_hash(resource: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a resource's JSON with sorted keys, without `meta.lastUpdated` and `meta.versionId`,
    which can change when nothing else does.
    """
    meta = resource.get("meta")
    if isinstance(meta, dict):
        kept = {key: value for key, value in meta.items() if key not in ("lastUpdated", "versionId")}
        resource = {**resource, "meta": kept}
    return hashlib.sha256(orjson.dumps(resource, option=orjson.OPT_SORT_KEYS)).hexdigest()

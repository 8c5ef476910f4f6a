"""The one-entry transaction Bundle in which eCW takes a patient; it is POSTed to the base URL itself."""

from __future__ import annotations

from typing import Any


def create(resource: dict[str, Any]) -> dict[str, Any]:
    """Wrap a resource that eCW does not have yet."""
    return _transaction(resource, "POST", resource["resourceType"])


def update(resource: dict[str, Any], *, id_in_url: bool = False) -> dict[str, Any]:
    """Wrap a resource that eCW has, with its id inside; some practices want the id in the URL, too.

    They answer code 100 without it (reference, section 4).
    """
    url = f"{resource['resourceType']}/{resource['id']}" if id_in_url else resource["resourceType"]
    return _transaction(resource, "PUT", url)


def _transaction(resource: dict[str, Any], method: str, url: str) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": resource, "request": {"method": method, "url": url}}],
    }

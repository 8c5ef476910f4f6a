"""The one-entry transaction Bundle in which eCW takes a patient; it is POSTed to the base URL itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode


def create(resource: dict[str, Any], if_none_exist: str | None = None) -> dict[str, Any]:
    """Wrap a resource that eCW does not have yet; a condition is for servers that know it, eCW does not."""
    conditions = {} if if_none_exist is None else {"ifNoneExist": if_none_exist}
    return _transaction(resource, "POST", resource["resourceType"], conditions)


def condition(resource: dict[str, Any]) -> str | None:
    """Return the condition that nobody has the resource's first identifier (https://hl7.org/fhir/R4/http.html#ccreate)."""
    for each in resource.get("identifier") or []:
        if each.get("system") and each.get("value"):
            return urlencode({"identifier": f"{each['system']}|{each['value']}"})
    return None


def version_id(resource: dict[str, Any]) -> str | None:
    """Return a resource's version, where the server gives such: eCW does not (reference, section 3)."""
    meta = resource.get("meta")
    found = meta.get("versionId") if isinstance(meta, dict) else None
    return found if isinstance(found, str) and found else None


def update(resource: dict[str, Any], *, id_in_url: bool = False, version: str | None = None) -> dict[str, Any]:
    """Wrap a resource that eCW has, with its id inside; some practices want the id in the URL, too.

    They answer code 100 without it (reference, section 4). A `version` is the one that was read: the server refuses
    the update when it has another one by now (https://hl7.org/fhir/R4/http.html#concurrency).
    """
    url = f"{resource['resourceType']}/{resource['id']}" if id_in_url else resource["resourceType"]
    return _transaction(resource, "PUT", url, {"ifMatch": f'W/"{version}"'} if version else {})


def _transaction(
    resource: dict[str, Any], method: str, url: str, conditions: dict[str, str] | None = None
) -> dict[str, Any]:
    request = {"method": method, "url": url, **(conditions or {})}
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": resource, "request": request}],
    }

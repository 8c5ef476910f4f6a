"""Build the transaction Bundle with one entry in which eCW accepts a patient; it is POSTed to the base URL itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode


def create(resource: dict[str, Any], if_none_exist: str | None = None) -> dict[str, Any]:
    """Wrap a resource that eCW does not have yet; `if_none_exist` is for servers that support it, not for eCW."""
    conditions = {} if if_none_exist is None else {"ifNoneExist": if_none_exist}
    return _transaction(resource, "POST", resource["resourceType"], conditions)


def condition(resource: dict[str, Any]) -> str | None:
    """Return the condition that no patient has the first identifier (https://hl7.org/fhir/R4/http.html#ccreate)."""
    for each in resource.get("identifier") or []:
        if each.get("system") and each.get("value"):
            return urlencode({"identifier": f"{each['system']}|{each['value']}"})
    return None


def version_id(resource: dict[str, Any]) -> str | None:
    """Return a resource's version, or None: eCW sends none (reference, section 3)."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) and version else None


def update(resource: dict[str, Any], *, id_in_url: bool = False, version: str | None = None) -> dict[str, Any]:
    """Wrap a resource that eCW has, with its id inside.

    Some practices require the id in the URL as well, and answer code 100 without it (reference, section 4). `version`
    is the version that was read: the server refuses the update if it has another one now
    (https://hl7.org/fhir/R4/http.html#concurrency).
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

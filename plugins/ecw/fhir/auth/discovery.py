"""Find a practice's token endpoint: SMART App Launch 2, "Discovery", else the CapabilityStatement."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ecw.errors import ConfigurationError, RetryableError
from ecw.fhir.connection import is_safe, is_url
from ecw.fhir.responses import error_of, json_of
from ecw.fhir.transport import Transport

OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


def discover_token_url(base_url: str, transport: Transport) -> str:
    """Return the URL of the token endpoint; both documents are public.

    Raises ConfigurationError if neither document names one, ServerUnavailable or RateLimited if they cannot be fetched.
    """
    smart = _document(f"{base_url}/.well-known/smart-configuration", transport)
    found = smart.get("token_endpoint")
    if not found:
        found = oauth_token_url(_document(f"{base_url}/metadata", transport))
    if not isinstance(found, str):
        raise ConfigurationError(
            f"{base_url} has neither a .well-known/smart-configuration nor a /metadata that names a token endpoint.",
            next_step="check the host and the practice code in the connection's base URL; "
            "if both are right, put the token endpoint into the field token_url.",
        )
    if base_url.startswith("https://") and found.startswith("http://"):
        found = "https://" + found.removeprefix("http://")  # eCW writes http:// into the links of https answers
    if not is_url(found) or not is_safe(found):
        raise ConfigurationError(
            f"{base_url} names a token endpoint that is not an https address.",
            next_step="ask eCW support, or put the token endpoint into the field token_url.",
        )
    return found


def oauth_token_url(statement: dict[str, Any]) -> str | None:
    """Return the token endpoint that a CapabilityStatement declares, or None."""
    for rest in statement.get("rest") or []:
        for extension in (rest.get("security") or {}).get("extension") or []:
            if extension.get("url") == OAUTH_URIS:
                for part in extension.get("extension") or []:
                    if part.get("url") == "token":
                        return str(part.get("valueUri") or "") or None
    return None


def _document(url: str, transport: Transport) -> dict[str, Any]:
    response = transport.send("GET", url, headers={"Accept": "application/json, application/fhir+json"})
    if response.status_code == 200:
        return json_of(response)
    error = error_of(response)
    if isinstance(error, RetryableError):
        raise error
    if urlsplit(response.headers.get("Location", "")).netloc:
        raise error
    return {}

"""The token endpoint that a CapabilityStatement declares (SMART App Launch 1.0, the extension oauth-uris)."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.fhir.auth.discovery import OAUTH_URIS, oauth_token_url

TOKEN = {"url": "token", "valueUri": "https://auth.example.org/token"}
AUTHORIZE = {"url": "authorize", "valueUri": "https://auth.example.org/authorize"}


def statement(*extensions: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "CapabilityStatement", "rest": [{}, {"security": {"extension": list(extensions)}}]}


@pytest.mark.parametrize(
    ("document", "url"),
    [
        (statement({"url": OAUTH_URIS, "extension": [AUTHORIZE, TOKEN]}), "https://auth.example.org/token"),
        (statement({"url": "other"}, {"url": OAUTH_URIS, "extension": [TOKEN]}), "https://auth.example.org/token"),
        (statement({"url": OAUTH_URIS, "extension": [AUTHORIZE]}), None),
        (statement({"url": OAUTH_URIS}), None),
        (statement({"url": OAUTH_URIS, "extension": [{"url": "token"}]}), None),
        (statement(), None),
        ({}, None),
    ],
)
def test_the_declared_token_endpoint_is_found(document: dict[str, Any], url: str | None) -> None:
    assert oauth_token_url(document) == url

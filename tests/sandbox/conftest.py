"""A client of the sandbox that knows nothing of ours: requests and PyJWT alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import jwt
import pytest
import requests

from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox

READ = "system/Patient.read system/Encounter.read system/Practitioner.read system/Location.read system/Coverage.r"
BULK = "system/Group.read system/Patient.read system/Practitioner.read system/Location.read"
WRITE = "system/Patient.read system/Patient.c system/Patient.u"


@dataclass
class Caller:
    """What a test sends to one sandbox."""

    sandbox: RunningSandbox
    keys: Keys

    def assertion(self, key: str | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign an assertion that is right but for what the test changes; None takes a claim away."""
        now, me = int(time.time()), self.keys.client_id
        right = {"iss": me, "sub": me, "aud": self.sandbox.token_url, "jti": str(uuid4()), "exp": now + 240}
        made = {name: value for name, value in {**right, **claims}.items() if value is not None}
        header = {"kid": self.keys.key_id, **(headers or {})}
        return jwt.encode(made, key or self.keys.private_key_pem, header.pop("alg", "RS384"), header)

    def ask_token(self, assertion: str | None = None, **form: str) -> requests.Response:
        """Ask for a token; a form field given as the empty text is left out."""
        right = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.assertion(),
            "scope": READ,
        }
        sent = {name: value for name, value in {**right, **form}.items() if value}
        return requests.post(self.sandbox.token_url, data=sent, timeout=10)

    def token(self, scope: str = READ) -> str:
        answer = self.ask_token(scope=scope)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def get(self, path: str, token: str | None = None, **options: Any) -> requests.Response:
        """GET below the base, or a whole address."""
        url = path if path.startswith("http") else f"{self.sandbox.base_url}/{path}"
        headers = {"Authorization": f"Bearer {token or self.token()}", **options.pop("headers", {})}
        return requests.get(url, headers=headers, timeout=10, **options)

    def pages(self, path: str, token: str | None = None) -> list[dict[str, Any]]:
        """Return all pages; next links are followed without the `_count` that the server adds and refuses."""
        token, pages = token or self.token(), []
        while path:
            answer = self.get(path, token)
            assert answer.status_code == 200, answer.text
            pages.append(answer.json())
            following = [link["url"] for link in pages[-1]["link"] if link["relation"] == "next"]
            path = requests.Request("GET", following[0]).prepare().url if following else ""
            if path and "fhir+json" not in answer.headers["Content-Type"]:
                path = "&".join(part for part in path.split("&") if not part.startswith("_count"))
                path = path.replace("?_count=10&", "?")
        return pages


def resources(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry["resource"] for page in pages for entry in page.get("entry", [])]


@pytest.fixture
def caller(sandbox: RunningSandbox, keys: Keys) -> Caller:
    return Caller(sandbox, keys)

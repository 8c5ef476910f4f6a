"""A client of the sandbox without the project's code: only requests and PyJWT."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import jwt
import requests

from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox

READ = "system/Patient.read system/Encounter.read system/Practitioner.read system/Location.read system/Coverage.r"
BULK = "system/Group.read system/Patient.read system/Practitioner.read system/Location.read"
WRITE = "system/Patient.read system/Patient.c system/Patient.u"


@dataclass
class Caller:
    """Sends requests to one sandbox."""

    sandbox: RunningSandbox
    keys: Keys

    def assertion(self, key: str | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a signed assertion that is correct except for the given claims and headers; None removes a claim."""
        now, client_id = int(time.time()), self.keys.client_id
        correct = {
            "iss": client_id,
            "sub": client_id,
            "aud": self.sandbox.token_url,
            "jti": str(uuid4()),
            "exp": now + 240,
        }
        payload = {name: value for name, value in {**correct, **claims}.items() if value is not None}
        header = {"kid": self.keys.key_id, **(headers or {})}
        return jwt.encode(payload, key or self.keys.private_key_pem, header.pop("alg", "RS384"), header)

    def ask_token(self, assertion: str | None = None, **form: str) -> requests.Response:
        """Request a token; a form field with an empty text is omitted."""
        correct = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.assertion(),
            "scope": READ,
        }
        data = {name: value for name, value in {**correct, **form}.items() if value}
        return requests.post(self.sandbox.token_url, data=data, timeout=600)

    def token(self, scope: str = READ) -> str:
        answer = self.ask_token(scope=scope)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def get(self, path: str, token: str | None = None, **options: Any) -> requests.Response:
        """GET a path below the base URL, or a URL."""
        url = path if path.startswith("http") else f"{self.sandbox.base_url}/{path}"
        headers = {"Authorization": f"Bearer {token or self.token()}", **options.pop("headers", {})}
        return requests.get(url, headers=headers, timeout=600, **options)

    def pages(self, path: str, token: str | None = None) -> list[dict[str, Any]]:
        """Return all pages; next links are followed without the `_count` that eCW adds to them and then refuses."""
        token, pages = token or self.token(), []
        while path:
            answer = self.get(path, token)
            assert answer.status_code == 200, answer.text
            pages.append(answer.json())
            path = next_url(pages[-1]) or ""
            if answer.headers["Content-Type"] != "application/fhir+json":
                path = re.sub(r"_count=\d+&", "", path)
        return pages

    def write(
        self, method: str, patient: dict[str, Any], url: str = "Patient", token: str = "", **conditions: str
    ) -> requests.Response:
        """Post a one-entry transaction to the base URL."""
        entry = {"resource": patient, "request": {"method": method, "url": url, **conditions}}
        return self.post({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, token)

    def post(self, bundle: Any, token: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.token(WRITE)}"}
        return requests.post(self.sandbox.base_url, json=bundle, headers=headers, timeout=600)


def next_url(bundle: dict[str, Any]) -> str | None:
    return next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)


def code_of(answer: requests.Response) -> str:
    """Return eCW's own code from a transaction's answer."""
    assert answer.status_code == 200, answer.text
    return str(answer.json()["entry"][0]["response"]["status"])


def diagnostics(answer: requests.Response) -> str:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    return str(body["issue"][0]["diagnostics"])


def resources(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry["resource"] for page in pages for entry in page.get("entry", [])]

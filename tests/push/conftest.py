"""What the tests of the push share: a client of the sandbox, and a patient as it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from requests import Session

from ecw.api.client import EcwClient
from ecw.api.patience import Circuit, Patience, Trying
from ecw.api.settings import EcwSettings
from tests.fixtures.keys import Keys


@pytest.fixture
def connect(keys: Keys) -> Callable[..., EcwClient]:
    """Make a client that tries up to three times without waiting: `connect(sandbox, timeout=0.5)`."""

    def client(sandbox: Any, timeout: float | None = 10) -> EcwClient:
        settings = EcwSettings(
            base_url=sandbox.base_url,
            client_id=keys.client_id,
            private_key=keys.private_key_pem,
            key_id=keys.key_id,
            jwks_url=keys.jwks_url,
        )
        session = Session()
        session.trust_env = False
        trying = Trying(Patience(3, seconds=0), Circuit(failures=1_000_000), sleep=lambda seconds: None)
        return EcwClient(settings, session, timeout=timeout, trying=trying)

    return client


@pytest.fixture
def patient() -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"use": "usual", "system": "urn:oid:2.16.840.1.113883.4.391.326070", "value": "ACC-1"}],
        "name": [{"use": "usual", "family": "Kowalczyk", "given": ["Ewa"]}],
        "gender": "female",
        "birthDate": "1980-01-02",
    }

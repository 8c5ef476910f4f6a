"""Fixtures for extraction alone, against the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from requests import Session

from ecw.fhir.client import EcwClient
from ecw.fhir.connection import EcwSettings
from ecw.fhir.retry import Circuit, Retrier, RetryPolicy
from ecw.models import Batch, Run
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.extract import extract_records
from ecw.resources import Resource
from ecw.settings.pull import Options
from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.extract.test_strategies import FixedIds

TYPES = {"patient": "Patient", "insurance": "Coverage", "encounter": "Encounter", "practitioner": "Practitioner"}


@pytest.fixture
def client(sandbox: RunningSandbox, keys: Keys) -> EcwClient:
    settings = EcwSettings(sandbox.base_url, keys.client_id, private_key=keys.private_key_pem, key_id=keys.key_id)
    return EcwClient(settings, Session(), retrier=Retrier(RetryPolicy(longest_wait=0.01), Circuit(1000)))


@pytest.fixture
def staged(client: EcwClient, tmp_path: Path) -> Callable[..., Batch]:
    """Return a function that extracts one resource by the given strategies and returns the staged batch."""

    def extract(
        name: str,
        *strategies: str,
        known_ids: FixedIds | None = None,
        start: str | None = None,
        end: str = "2026-11-22T10",
        **options: Any,
    ) -> Batch:
        run_of_practice = Run(
            practice="FFSAND",
            run_id="r",
            run_type="scheduled",
            mode="changes",
            window_start=start,
            window_end=f"{end}:00:00+00:00",
            ecw_conn_id="",
            crm_conn_id="",
            staging=str(tmp_path),
        )
        resource = Resource(name, TYPES[name], ())
        return extract_records(
            ExtractContext(run_of_practice, resource, Options(**options), known_ids or FixedIds()), client, strategies
        )

    return extract

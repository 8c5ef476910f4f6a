"""Fixtures of the mapping's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest


@pytest.fixture(scope="session")
def samples(shared_data: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Return a function that returns all sample resources of a FHIR type."""

    def of(fhir_type: str) -> list[dict[str, Any]]:
        found = [
            orjson.loads(line)
            for path in sorted((shared_data / "synthea").glob(f"{fhir_type}*.ndjson"))
            for line in path.read_bytes().splitlines()
        ]
        found += [orjson.loads(path.read_bytes()) for path in sorted((shared_data / "us-core").glob("*.json"))]
        found = [resource for resource in found if resource["resourceType"] == fhir_type]
        assert found
        return found

    return of

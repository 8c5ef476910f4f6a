"""What the tests of the mapping share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping


@pytest.fixture(scope="session")
def samples(shared_data: Path) -> Callable[[str], list[dict[str, Any]]]:
    """All sample resources of one FHIR type."""

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


@pytest.fixture
def mapping_of(tmp_path: Path) -> Callable[..., Mapping]:
    """A mapping of one's own: mapping_of(columns as YAML, csv files by crosswalk, policies)."""

    def make(columns: str, resource: str = "Patient", policies: str = "", **crosswalks: str) -> Mapping:
        folder = tmp_path / "crosswalks"
        folder.mkdir(exist_ok=True)
        (folder / "policies.yaml").write_text(policies)
        for name, lines in crosswalks.items():
            (folder / f"{name}.csv").write_text("code,value,system,note\n" + lines)
        file = tmp_path / "mine.yaml"
        file.write_text(
            f"resource: {resource}\ntable: mine\nkey: ecw_id\ntime_zone: America/New_York\nselect:\n  - column:\n"
            "      - {name: ecw_id, label: Id, path: id, type: string, required: true}\n" + columns + "excluded: {}\n"
        )
        return load_mapping(file)

    return make

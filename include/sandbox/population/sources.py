"""The sources of records: the generated population, or files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from include.sandbox.population import Resource, Size, Source
from include.sandbox.population.care import Coverages, Encounters
from include.sandbox.population.directory import Groups, Locations, Organizations, Practitioners
from include.sandbox.population.people import Patients

TYPES = ("Practitioner", "Location", "Organization", "Patient", "Coverage", "Encounter", "Group")
_CONDITIONAL = re.compile(r"^(\w+)\?identifier=([^|]*)\|(.+)$")


def made(size: Size) -> dict[str, Source]:
    practitioners, locations = Practitioners(size, size.practitioners), Locations(size, size.locations)
    organizations, patients = Organizations(size), Patients(size)
    return {
        "Practitioner": practitioners,
        "Location": locations,
        "Organization": organizations,
        "Patient": patients,
        "Coverage": Coverages(size, patients, organizations),
        "Encounter": Encounters(size, patients, practitioners, locations),
        "Group": Groups(size),
    }


class Loaded:
    """Records read from a file, in the file's order."""

    def __init__(self, resources: list[Resource]) -> None:
        self.resources = resources
        self._keys = {resource["id"]: key for key, resource in enumerate(resources)}

    def numbers(self) -> Iterable[int]:
        return range(len(self.resources))

    def __len__(self) -> int:
        return len(self.resources)

    def key_of(self, ecw_id: str) -> int | None:
        return self._keys.get(ecw_id)

    def resource(self, key: int) -> Resource:
        return self.resources[key]

    def candidates(self, params: Mapping[str, str]) -> Iterable[int] | None:
        return None


def loaded(folder: Path, size: Size) -> dict[str, Source]:
    """Read `<Type>.ndjson` for every type; a type without a file is empty, but groups are generated.

    References such as `Practitioner?identifier=system|value` become ids, as in a server that stored the records.
    Raises FileNotFoundError if the folder has no such file, ValueError for a line that is not JSON.
    """
    files = {kind: folder / f"{kind}.ndjson" for kind in TYPES}
    if not any(file.exists() for file in files.values()):
        raise FileNotFoundError(f"no <Type>.ndjson in {folder}; types: {', '.join(TYPES)}")
    resources = {kind: _read(file) if file.exists() else [] for kind, file in files.items()}
    known = {
        (kind, identifier.get("system"), identifier.get("value")): f"{kind}/{resource['id']}"
        for kind, found in resources.items()
        for resource in found
        for identifier in resource.get("identifier", [])
    }
    for found in resources.values():
        for resource in found:
            _resolve(resource, known)
    sources: dict[str, Source] = {kind: Loaded(found) for kind, found in resources.items()}
    return sources if resources["Group"] else {**sources, "Group": Groups(size)}


def _read(file: Path) -> list[Resource]:
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                raise ValueError(f"{file}, line {number}: not JSON") from None
    return found


def _resolve(node: Any, known: Mapping[tuple[str, str, str], str]) -> None:
    if isinstance(node, list):
        for each in node:
            _resolve(each, known)
    elif isinstance(node, dict):
        match = _CONDITIONAL.match(node["reference"]) if isinstance(node.get("reference"), str) else None
        if match:
            node["reference"] = known.get((match[1], match[2], match[3]), match[0])
        for each in node.values():
            _resolve(each, known)

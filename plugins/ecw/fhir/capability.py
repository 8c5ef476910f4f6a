"""The CapabilityStatement (`/metadata`) of a practice's server, parsed and compared."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Declared:
    """The capabilities declared for one FHIR type."""

    interactions: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()  # URLs that may stand in meta.profile


@dataclass(frozen=True, slots=True)
class Capability:
    """The capabilities that a server declares."""

    software: str | None
    fhir_version: str | None
    resources: dict[str, Declared] = field(default_factory=dict)

    @classmethod
    def parse(cls, statement: dict[str, Any]) -> Self:
        """Parse a CapabilityStatement (R4); missing parts are empty, not an error."""
        software = statement.get("software") or {}
        resources = {
            resource["type"]: Declared(
                interactions=_names(resource, "interaction", "code"),
                parameters=_names(resource, "searchParam", "name"),
                operations=_names(resource, "operation", "name"),
                profiles=frozenset(
                    str(url) for url in (resource.get("profile"), *(resource.get("supportedProfile") or [])) if url
                ),
            )
            for rest in statement.get("rest") or []
            if rest.get("mode") == "server"
            for resource in rest.get("resource") or []
            if "type" in resource
        }
        return cls(
            software=" ".join(str(part) for part in (software.get("name"), software.get("version")) if part) or None,
            fhir_version=statement.get("fhirVersion"),
            resources=resources,
        )

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Parse the output of `text`."""
        kept = json.loads(text)
        resources = {
            fhir_type: Declared(*(frozenset(names) for names in each)) for fhir_type, each in kept["resources"].items()
        }
        return cls(kept["software"], kept["fhir_version"], resources)

    def of_type(self, fhir_type: str) -> Self:
        """Return the capabilities for one FHIR type only."""
        declared = {name: each for name, each in self.resources.items() if name == fhir_type}
        return replace(self, resources=declared)

    def text(self) -> str:
        """Return the capabilities as JSON to store: a few KB, where the statement of a large server has 1.5 MB."""
        resources = {
            fhir_type: [sorted(names) for names in (each.interactions, each.parameters, each.operations, each.profiles)]
            for fhir_type, each in sorted(self.resources.items())
        }
        return json.dumps({"software": self.software, "fhir_version": self.fhir_version, "resources": resources})

    def can(self, fhir_type: str, interaction: str) -> bool:
        """Return True if `read`, `search-type`, `create` … is declared for the type."""
        return interaction in self.resources.get(fhir_type, Declared()).interactions

    def takes(self, fhir_type: str, *parameters: str) -> bool:
        """Return True if all these search parameters are declared for the type."""
        return set(parameters) <= self.resources.get(fhir_type, Declared()).parameters

    def changes_since(self, before: Capability) -> list[str]:
        """Return the differences from an earlier statement as texts; an empty list without differences."""
        changes = []
        for what, old, new in (
            ("software", before.software, self.software),
            ("FHIR version", before.fhir_version, self.fhir_version),
        ):
            if old != new:
                changes.append(f"{what}: {old or 'not declared'} → {new or 'not declared'}")
        for fhir_type in sorted(before.resources.keys() | self.resources.keys()):
            if fhir_type not in self.resources:
                changes.append(f"{fhir_type}: no longer declared")
            elif fhir_type not in before.resources:
                changes.append(f"{fhir_type}: newly declared")
            else:
                changes += _differences(fhir_type, before.resources[fhir_type], self.resources[fhir_type])
        return changes


def _differences(fhir_type: str, before: Declared, now: Declared) -> list[str]:
    changes = []
    for kind, old, new in (
        ("interaction", before.interactions, now.interactions),
        ("search parameter", before.parameters, now.parameters),
        ("operation", before.operations, now.operations),
    ):
        changes += [f"{fhir_type}: {kind} {name} is gone" for name in sorted(old - new)]
        changes += [f"{fhir_type}: {kind} {name} is new" for name in sorted(new - old)]
    return changes


def _names(resource: dict[str, Any], group: str, key: str) -> frozenset[str]:
    return frozenset(str(item[key]) for item in resource.get(group) or [] if key in item)

"""The FHIRPath subset of mapping files; its paths can be read and written.

    name.family                                   a member
    given[0]                                      an index
    first()                                       the first of several
    telecom.where(system='phone' and use.empty()) a filter: `=` a literal, empty(), exists(), joined by `and`
    extension('http://…')                         the extension of that URL
    value.ofType(Coding)                          a polymorphic element of one type; `value` alone reads any
    name.current(), telecom.current('home')       of several the one that is valid now: see fhirpath/current.py
    payor.resolve().name                          the contained resource that a reference names
    name.text | id                                a union: the first that has a value
    %name                                         a constant of the mapping file

A path has the same meaning as in FHIRPath (https://hl7.org/fhirpath/), with two exceptions: FHIRPath has no current(),
and resolve() finds only records inside this one (`contained`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Literal: TypeAlias = str | bool | int
Path: TypeAlias = "tuple[Step, ...]"


@dataclass(frozen=True, slots=True)
class Member:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Choice:
    """A polymorphic element (`value[x]`): of one type, or of any type if `type` is None."""

    name: str
    type: str | None

    def __str__(self) -> str:
        return f"{self.name}.ofType({self.type})" if self.type else self.name

    @property
    def keys(self) -> tuple[str, ...]:
        """The JSON keys that it can have, e.g. `deceasedBoolean`."""
        types = (self.type,) if self.type else CHOICE_TYPES
        return tuple(f"{self.name}{kind[0].upper()}{kind[1:]}" for kind in types)


@dataclass(frozen=True, slots=True)
class Index:
    at: int

    def __str__(self) -> str:
        return f"[{self.at}]"


@dataclass(frozen=True, slots=True)
class First:
    def __str__(self) -> str:
        return "first()"


@dataclass(frozen=True, slots=True)
class Equals:
    path: Path
    literal: Literal

    def __str__(self) -> str:
        return f"{show(self.path)} = {show_literal(self.literal)}"


@dataclass(frozen=True, slots=True)
class Presence:
    path: Path
    present: bool

    def __str__(self) -> str:
        return f"{show(self.path)}.{'exists' if self.present else 'empty'}()"


Test: TypeAlias = Equals | Presence


@dataclass(frozen=True, slots=True)
class Where:
    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return f"where({' and '.join(str(test) for test in self.tests)})"


@dataclass(frozen=True, slots=True)
class Extension:
    url: str

    def __str__(self) -> str:
        return f"extension({show_literal(self.url)})"


@dataclass(frozen=True, slots=True)
class Current:
    """The one of several elements that is valid now; `needs` is the path that it should have a value for."""

    uses: tuple[str, ...] = ()
    needs: Path = ()

    def __str__(self) -> str:
        return f"current({', '.join(show_literal(use) for use in self.uses)})"


@dataclass(frozen=True, slots=True)
class Resolve:
    """The contained resource that a reference names."""

    def __str__(self) -> str:
        return "resolve()"


@dataclass(frozen=True, slots=True)
class Union:
    branches: tuple[Path, ...]

    def __str__(self) -> str:
        return f"({' | '.join(show(branch) for branch in self.branches)})"


Step: TypeAlias = Member | Choice | Index | First | Where | Extension | Current | Resolve | Union

# Extension.value[x] of R4, in the order in which a server is likely to use them. https://hl7.org/fhir/R4/extensibility.html
# fmt: off
CHOICE_TYPES = (
    "string", "code", "boolean", "Coding", "CodeableConcept", "Reference", "dateTime", "date", "integer",
    "decimal", "Identifier", "Period", "Quantity", "Address", "HumanName", "ContactPoint", "uri", "url",
    "canonical", "oid", "uuid", "id", "markdown", "instant", "time", "positiveInt", "unsignedInt",
    "base64Binary", "Age", "Annotation", "Attachment", "Count", "Distance", "Duration", "Money", "Range",
    "Ratio", "SampledData", "Signature", "Timing", "ContactDetail", "Contributor", "DataRequirement",
    "Expression", "ParameterDefinition", "RelatedArtifact", "TriggerDefinition", "UsageContext", "Dosage",
    "Meta",
)
# fmt: on
# The polymorphic elements of the five resources, with the step they follow ("" for the resource itself).
CHOICES = {("", "deceased"), ("", "multipleBirth"), ("extension", "value"), ("costToBeneficiary", "value")}


def join(base: Path, path: Path) -> Path:
    """Return `path` continued from `base`; of a union, each branch."""
    if base and path and isinstance(path[0], Union):
        return (Union(tuple(join(base, branch) for branch in path[0].branches)), *path[1:])
    return base + path


def filling(path: Path, needs: Path = ()) -> Path:
    """Return the path with the `needs` of every current() set: the rest of the path, followed by `needs`."""
    steps: Path = ()
    for at, step in enumerate(path):
        rest = path[at + 1 :] + needs
        if isinstance(step, Union):
            step = Union(tuple(filling(branch, rest) for branch in step.branches))
        elif isinstance(step, Current) and not step.needs:
            step = Current(step.uses, rest)
        steps = (*steps, step)
    return steps


def first_branches(path: Path) -> Path:
    """Return the steps along which a new value is created: of a union, the first branch."""
    steps: Path = ()
    for step in path:
        steps += first_branches(step.branches[0]) if isinstance(step, Union) else (step,)
    return steps


def nearest(uses: tuple[str, ...]) -> str:
    """Return the standard FHIRPath that is nearest to current()."""
    condition = " or ".join(f"use = {show_literal(use)}" for use in uses) or "(use != 'old' and use != 'maiden')"
    return f"where(use.empty() or {condition}).first()"


def show(path: Path) -> str:
    """Return the path as text, as a mapping file has it."""
    text = ""
    for step in path:
        text += str(step) if isinstance(step, Index) or not text else f".{step}"
    return text


def show_literal(literal: Literal) -> str:
    if isinstance(literal, bool):
        return "true" if literal else "false"
    return str(literal) if isinstance(literal, int) else "'" + literal.replace("\\", "\\\\").replace("'", "\\'") + "'"

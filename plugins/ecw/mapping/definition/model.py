"""The parsed mapping file: Mapping, Column and Fallback."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path as FilePath

from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.fhirpath.paths import Path


@dataclass(frozen=True, slots=True)
class Fallback:
    """The path of the replacement value, and the part that is taken from a name's text."""

    path: str
    steps: Path
    take: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the CRM's table, with the path of its value in the resource."""

    name: str
    label: str
    path: str  # as written in the file, relative to `group`
    steps: Path  # parsed, from the resource on
    type: str
    group: str = ""
    description: str = ""
    required: bool = False
    sync: str = "pull"
    on_conflict: str = "emr"
    update: str = "always"
    clean: tuple[str, ...] = ()
    null_if: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    several: str = ""
    fallback: Fallback | None = None
    write_path: Path = ()
    crosswalk: str | None = None
    set_with: tuple[tuple[Path, str], ...] = ()
    line: int = 0

    @property
    def pulled(self) -> bool:
        return self.sync != "push"

    @property
    def pushed(self) -> bool:
        return self.sync != "pull"

    @property
    def writes(self) -> Path:
        """The path by which a push writes."""
        return self.write_path or self.steps

    @property
    def concept(self) -> bool:
        """True if the path ends in a CodeableConcept or Coding."""
        return self.type == "concept"


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping file with its crosswalks; `version` changes if its rows may change."""

    name: str  # of the file
    resource: str  # the FHIR type
    table: str
    key: str
    description: str
    columns: tuple[Column, ...]
    excluded: MappingType[str, str]
    crosswalks: MappingType[str, Crosswalk]
    constants: MappingType[str, str]
    time_zone: str | None
    profile: str | None
    file: FilePath
    version: str
    base_url: str | None = None  # of the practice: a reference to a record of another server is ignored

    @property
    def pulled(self) -> tuple[Column, ...]:
        """The columns of the rows that a pull makes."""
        return tuple(column for column in self.columns if column.pulled)

    @property
    def pushed(self) -> tuple[Column, ...]:
        """The columns that a push writes."""
        return tuple(column for column in self.columns if column.pushed)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

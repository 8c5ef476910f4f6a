"""Everything that can be known to be wrong before a run: files, FHIR's structure, crosswalks, the CRM's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ecw.errors import MappingError
from ecw.mapping.definition.crosswalks import available
from ecw.mapping.definition.files import load_mapping, mapping_files, mappings_folder
from ecw.mapping.definition.model import Mapping
from ecw.mapping.validation.structure import check_structure

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(slots=True)
class Checked:
    """The mappings that could be read, every problem, and notes on what was not checked."""

    mappings: list[Mapping] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_files(folder: str | None = None) -> Checked:
    """Read every mapping file and hold its paths against FHIR."""
    found = Checked()
    files = mapping_files(folder)
    if not files:
        found.problems.append(f"{mappings_folder(folder)}: there are no mapping files")
    others = sorted(mappings_folder(folder).glob("*.yml"))
    found.problems += [f"{file}:1: is not read: a mapping file ends in .yaml" for file in others]
    for file in files:
        try:
            mapping = load_mapping(file)
        except MappingError as error:
            found.problems += error.what.splitlines()[1:] or [error.what]
            continue
        found.mappings.append(mapping)
        found.problems += check_structure(mapping)
    if len(found.mappings) == len(files):
        used = {name for mapping in found.mappings for name in mapping.crosswalks}
        crosswalks = mappings_folder(folder) / "crosswalks"
        found.problems += [
            f"{crosswalks / name}.csv:1: no column uses this crosswalk"
            for name in available(crosswalks)
            if name not in used
        ]
    found.problems = list(dict.fromkeys(found.problems))  # a shared crosswalk's problem comes with each file
    return found


def check_crm(connection: Connection, found: Checked) -> None:
    """Hold the mappings against the CRM's tables, and the crosswalks against both sides' present lists."""
    from ecw.mapping.validation.crosswalk_names import check_lists
    from ecw.mapping.validation.table import table_problems

    for mapping in found.mappings:
        found.problems += table_problems(connection, mapping)
    crosswalks = {crosswalk.name: crosswalk for mapping in found.mappings for crosswalk in mapping.crosswalks.values()}
    lists = check_lists(connection, crosswalks.values())
    found.problems += lists.problems
    found.notes += [f"Not verified: {note}." for note in lists.unverified]
    found.notes += [f"Coverage: {note}." for note in lists.coverage]

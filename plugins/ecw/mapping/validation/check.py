"""Check the mapping files without data: their syntax, their paths against FHIR, and their crosswalks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ecw.errors import MappingError
from ecw.mapping.definition.crosswalks import available
from ecw.mapping.definition.files import load_mapping, mapping_files, mappings_folder
from ecw.mapping.definition.model import Mapping
from ecw.mapping.validation.structure import check_structure


@dataclass(slots=True)
class Checked:
    """The mappings that could be read, every problem, and notes on what could not be checked."""

    mappings: list[Mapping] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_files(folder: str | None = None, own: Path | None = None) -> Checked:
    """Read every mapping file and compare its paths with FHIR.

    `own` is a practice's folder: its files and crosswalks replace those of the default folder.
    """
    found = Checked()
    files = mapping_files(folder)
    if not files:
        found.problems.append(f"{mappings_folder(folder)}: the folder has no mapping files")
    others = sorted(mappings_folder(folder).glob("*.yml"))
    found.problems += [f"{file}:1: is not read: the name of a mapping file must end in .yaml" for file in others]
    for file in files:
        try:
            mapping = load_mapping(file if own is None else file.stem, own=own)
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
    found.problems = list(
        dict.fromkeys(found.problems)
    )  # each file that uses a crosswalk reports the crosswalk's problems
    return found

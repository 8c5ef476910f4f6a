"""Find and load the mapping files; an error lists every problem of a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping as MappingType
from functools import lru_cache
from pathlib import Path as FilePath

from ecw import project_files
from ecw.did_you_mean import did_you_mean
from ecw.errors import MappingError
from ecw.mapping.definition.build_mapping import build_mapping
from ecw.mapping.definition.model import Mapping

FIX = "fix the lines named above, then run `ecw mapping check`."


def mappings_folder(folder: str | os.PathLike[str] | None = None) -> FilePath:
    """Return the folder of the mapping files: the argument, else the one that ecw.project_files finds.

    Raises MappingError if the folder does not exist.
    """
    found = FilePath(folder) if folder else project_files.folder_of("mappings")
    if found is not None and found.is_dir():
        return found
    raise MappingError(
        f"The folder {found or 'include/mappings'} of the mapping files does not exist.",
        next_step="name the folder that holds them (--folder, ECW_MAPPINGS), or write the project's own with "
        "`ecw init`.",
    )


def mapping_files(folder: str | os.PathLike[str] | None = None) -> list[FilePath]:
    """Return the mapping files, sorted by name: those of `folder`, else those that ecw.project_files finds."""
    found = mappings_folder(folder)
    return sorted(found.glob("*.yaml")) if folder else project_files.files_of("mappings", "*.yaml")


def all_mappings(folder: str | os.PathLike[str] | None = None) -> dict[str, Mapping]:
    """Return every mapping of the folder by file name.

    Raises MappingError with the problems of all files.
    """
    found: dict[str, Mapping] = {}
    problems: list[str] = []
    for path in mapping_files(folder):
        try:
            found[path.stem] = load_mapping(path)
        except MappingError as error:
            problems.append(error.what)
    if problems:
        raise MappingError("\n".join(problems), next_step=FIX)
    return found


def load_mapping(
    path: str | os.PathLike[str], constants: MappingType[str, str] | None = None, own: FilePath | None = None
) -> Mapping:
    """Load one mapping file with its crosswalks; a name alone, such as `patient`, is a file of the default folder.

    `constants` replace the file's constants of the same names, for a practice that differs. `own` is a practice's
    folder: its files and crosswalks replace those of the same name in the default folder.

    Raises MappingError with file, line and column of every problem.
    """
    file = FilePath(path)
    shared = file.parent
    if str(path) == file.stem:
        file = project_files.file_of("mappings", f"{path}.yaml") or mappings_folder() / f"{path}.yaml"
        shared = file.parent
        if own is not None and (own / f"{path}.yaml").is_file():
            file = own / f"{path}.yaml"
        if not file.is_file():
            known = dict.fromkeys(found.stem for found in sorted(file.parent.glob("*.yaml")))
            raise MappingError(
                f"{file.parent} has no mapping file {path!r}; {did_you_mean(str(path), known)}",
                next_step="name a file of that folder, or the path of another with its .yaml.",
            )
    folders = tuple(folder / "crosswalks" for folder in ([shared] if own is None else [own, shared]))
    contents = hashlib.sha256()
    for each in (file, *(found for folder in folders for found in sorted(folder.glob("*")))):
        contents.update(f"{each}\0".encode() + each.read_bytes() if each.is_file() else b"")
    return _load(file, folders, tuple(sorted((constants or {}).items())), contents.digest())


@lru_cache(maxsize=128)
def _load(
    file: FilePath, folders: tuple[FilePath, ...], constants: tuple[tuple[str, str], ...], contents: bytes
) -> Mapping:
    """Load a mapping; cached by `contents`, the hash of its files, because every step of a run loads mappings."""
    mapping, problems = build_mapping(file, dict(constants), list(folders))
    if mapping is None:
        mistakes = f"{len(problems)} {'mistake' if len(problems) == 1 else 'mistakes'}"
        raise MappingError(f"{mistakes} in {file.name}:\n" + "\n".join(problems) + "\n", next_step=FIX)
    return mapping

"""Where the project's own files lie, which a data engineer edits: mapping files, quality suites and DAG files.

A copy that belongs to the installation goes first, the one that the wheel carries last:

1. `ECW_MAPPINGS`, for mapping files, and the folder `quality` beside it;
2. `include/` above the package or above the working directory: a checkout, or an Astro project;
3. `include/` in a folder of `sys.path`, where Airflow puts the DAG bundle and the DAGs folder, or in the DAGs folder
   itself: what `ecw init` wrote, on every node that has the DAG files;
4. `ecw/project/` in the installed package.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

CARRIED = Path(__file__).resolve().parent / "project"  # setup.py puts it into the wheel
PLACES = {"mappings": "include/mappings", "quality": "include/quality", "dags": "dags"}  # in a checkout


def folder_of(kind: str) -> Path | None:
    """Return the folder of `mappings` or `quality`, or None where there is none at all."""
    asked = os.environ.get("ECW_MAPPINGS")
    if asked:
        folder = Path(asked)
        if kind == "mappings":
            return folder
        beside = folder.parent / kind
        if beside.is_dir():
            return beside
    place = PLACES[kind]
    found = (folder / place for folder in _roots() if (folder / place).is_dir())
    return next(found, carried(kind))


def file_of(kind: str, name: str) -> Path | None:
    """Return a file of `mappings` or `quality`; one that the copy lacks, as after an upgrade, is the wheel's."""
    folders = (folder_of(kind), carried(kind))
    return next((folder / name for folder in folders if folder and (folder / name).is_file()), None)


def files_of(kind: str, pattern: str) -> list[Path]:
    """Return the files that `file_of` finds by their names, sorted by name."""
    folders = (carried(kind), folder_of(kind))
    found = {path.name: path for folder in folders if folder for path in folder.glob(pattern)}
    return [found[name] for name in sorted(found)]


def include_file(name: str) -> Path | None:
    """Return a file of the folder `include` that an installation may have, None where it has none."""
    roots = _roots() if "airflow.configuration" in sys.modules else _roots(dags=False)
    return next((root / "include" / name for root in roots if (root / "include" / name).is_file()), None)


def carried(kind: str) -> Path | None:
    """Return the folder of that kind which the installed wheel carries; a checkout has none."""
    return CARRIED / kind if (CARRIED / kind).is_dir() else None


def source_of(kind: str) -> Path | None:
    """Return what `ecw init` copies: the wheel's files, or a checkout's."""
    if (folder := carried(kind)) is not None:
        return folder
    above = (parent / PLACES[kind] for parent in Path(__file__).resolve().parents)
    return next((folder for folder in above if folder.is_dir()), None)


def dags_folder() -> Path:
    """Return Airflow's DAGs folder."""
    from airflow.configuration import conf  # most of a second, which a checkout never needs

    return Path(conf.get("core", "dags_folder"))


def _roots(*, dags: bool = True) -> Iterator[Path]:
    for start in (Path(__file__).resolve(), Path.cwd()):
        yield from (start, *start.parents)
    yield from (Path(entry) for entry in sys.path if entry)
    if dags:
        yield dags_folder()

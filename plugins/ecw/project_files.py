"""Find the project's files that a data engineer edits: mapping files, quality suites and DAG files.

The places, in order; a copy in the installation replaces the one in the wheel:

1. `ECW_MAPPINGS`, for mapping files, and the folder `quality` beside it;
2. `include/` above the package or above the working directory: a checkout, or an Astro project;
3. `include/` in a folder of `sys.path`, to which Airflow adds the DAG bundle and the DAGs folder, or in the DAGs
   folder: `ecw init` writes it there, so every node with the DAG files has it;
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
    """Return the folder of `mappings` or `quality`; None if there is none."""
    configured = os.environ.get("ECW_MAPPINGS")
    if configured:
        folder = Path(configured)
        if kind == "mappings":
            return folder
        beside = folder.parent / kind
        if beside.is_dir():
            return beside
    place = PLACES[kind]
    found = (folder / place for folder in _roots() if (folder / place).is_dir())
    return next(found, carried(kind))


def file_of(kind: str, name: str) -> Path | None:
    """Return a file of `mappings` or `quality`; if the copy lacks it, as after an upgrade, the wheel's."""
    folders = (folder_of(kind), carried(kind))
    return next((folder / name for folder in folders if folder and (folder / name).is_file()), None)


def files_of(kind: str, pattern: str) -> list[Path]:
    """Return the files that `file_of` finds by their names, sorted by name."""
    folders = (carried(kind), folder_of(kind))
    found = {path.name: path for folder in folders if folder for path in folder.glob(pattern)}
    return [found[name] for name in sorted(found)]


def include_file(name: str) -> Path | None:
    """Return an optional file of the installation's folder `include`, or None."""
    roots = _roots() if "airflow.configuration" in sys.modules else _roots(dags=False)
    return next((root / "include" / name for root in roots if (root / "include" / name).is_file()), None)


def carried(kind: str) -> Path | None:
    """Return the folder of a kind in the installed wheel; a checkout has none."""
    return CARRIED / kind if (CARRIED / kind).is_dir() else None


def source_of(kind: str) -> Path | None:
    """Return the folder that `ecw init` copies: the wheel's, or a checkout's."""
    if (folder := carried(kind)) is not None:
        return folder
    above = (parent / PLACES[kind] for parent in Path(__file__).resolve().parents)
    return next((folder for folder in above if folder.is_dir()), None)


def dags_folder() -> Path:
    """Return Airflow's DAGs folder."""
    from airflow.configuration import conf  # the import takes most of a second, and a checkout never needs it

    return Path(conf.get("core", "dags_folder"))


def _roots(*, dags: bool = True) -> Iterator[Path]:
    for start in (Path(__file__).resolve(), Path.cwd()):
        yield from (start, *start.parents)
    yield from (Path(entry) for entry in sys.path if entry)
    if dags:
        yield dags_folder()

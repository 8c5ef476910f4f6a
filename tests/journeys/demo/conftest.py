"""The demo that the tests of this folder share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.demo import ROOT, Demo, serving


@pytest.fixture(scope="package")
def mapping_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's own copy of the mapping files, which a test may edit."""
    folder = tmp_path_factory.mktemp("include")
    for name in ("mappings", "quality"):
        shutil.copytree(ROOT / "include" / name, folder / name)
    return folder / "mappings"


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory, mapping_files: Path) -> Iterator[Demo]:
    """A practice of 40 patients, which has been pulled once, and edits of which have been pushed."""
    folder = tmp_path_factory.mktemp("demo")
    with serving(folder, PATIENTS="40", SEED="7", ECW_MAPPINGS=str(mapping_files)) as demo:
        yield demo

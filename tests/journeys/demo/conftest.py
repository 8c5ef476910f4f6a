"""The demo that the tests of this folder share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.demo import ROOT, Demo, import_before_tasks, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="package")
def mapping_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's own copy of the mapping files, which a test may edit."""
    folder = tmp_path_factory.mktemp("include")
    for name in ("mappings", "quality"):
        shutil.copytree(ROOT / "include" / name, folder / name)
    return folder / "mappings"


@pytest.fixture(scope="package")
def demo(
    tmp_path_factory: pytest.TempPathFactory, mapping_files: Path, request: pytest.FixtureRequest
) -> Iterator[Demo]:
    """A practice of 40 patients, which has been pulled once, and edits of which have been pushed."""
    folder = tmp_path_factory.mktemp("demo")
    here = [item for item in request.session.items if Path(__file__).parent in item.path.parents]
    if all(item.get_closest_marker("airflow") for item in here):
        import_before_tasks(folder)  # in `make test` tasks start as they do for a new user
    with serving(folder, PATIENTS="40", SEED="7", ECW_MAPPINGS=str(mapping_files)) as demo:
        yield demo


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One person's Chromium, which keeps Airflow's scripts and need not read them for every test."""
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(300_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Open a fresh page; its time-outs are long because the machine may be slow, not because waiting is meant."""
    page = context.new_page()
    page.set_viewport_size({"width": 1400, "height": 1000})
    yield page
    page.close()

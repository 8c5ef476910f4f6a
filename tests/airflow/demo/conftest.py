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
    """Return the demo's own copy of the mapping files, which a test may edit."""
    folder = tmp_path_factory.mktemp("include")
    for name in ("mappings", "quality"):
        shutil.copytree(ROOT / "include" / name, folder / name)
    return folder / "mappings"


@pytest.fixture(scope="package")
def demo(
    tmp_path_factory: pytest.TempPathFactory, mapping_files: Path, request: pytest.FixtureRequest
) -> Iterator[Demo]:
    """A demo with a practice of 40 patients that was pulled once, and with edits that were pushed."""
    folder = tmp_path_factory.mktemp("demo")
    here = [item for item in request.session.items if Path(__file__).parent in item.path.parents]
    if all(item.get_closest_marker("airflow") for item in here):
        import_before_tasks(folder)  # in `make test` tasks start as they do for a new user
    with serving(folder, PATIENTS="40", SEED="7", ECW_MAPPINGS=str(mapping_files)) as demo:
        yield demo


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser context for all tests of a module, so that Chromium caches Airflow's scripts."""
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(300_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Open a new page; its time-outs are long only because the machine may be slow."""
    page = context.new_page()
    page.set_viewport_size({"width": 1400, "height": 1000})
    yield page
    page.close()

"""Take the screenshots of the console for the docs: `make screenshots`. They show only invented patients."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.browser import find
from tests.fixtures.browser import ARGUMENTS
from tests.fixtures.demo import Demo, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = {"width": 1180, "height": 760}


def main() -> None:
    """Start the demo, let it pull and push, and take a screenshot of each page."""
    path = find()
    if path is None:
        sys.exit("make: Chromium is not installed: run scripts/browser.py and read what it prints")
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), PATIENTS="200", SEED="7") as demo:
        with closing(sqlite3.connect(demo.folder / "crm.db")) as crm:
            [(crm_id,)] = crm.execute("SELECT crm_id FROM ecw_conflict WHERE state = 'open' LIMIT 1").fetchall()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            page = browser.new_context(viewport=SIZE, locale="en-GB", timezone_id="UTC").new_page()  # type: ignore[arg-type]
            page.set_default_timeout(120_000)
            _take_all(page, demo, str(crm_id))
            browser.close()


def _take_all(page: Page, demo: Demo, crm_id: str) -> None:
    _take(page, demo, "overview", "overview")
    _take(page, demo, "rejects", "rejects")
    _take(page, demo, "conflicts", "conflicts", press=["Open the details", "Compare both sides"])
    _take(page, demo, "story", f"story?resource=patient&crm_id={crm_id}")


def _take(page: Page, demo: Demo, name: str, address: str, press: Sequence[str] = ()) -> None:
    page.goto(f"{demo.airflow_url}/plugin/emr-sync/{address}")
    content = page.get_by_test_id("emr-sync")
    content.get_by_role("heading", level=1).wait_for()
    for button in press:
        content.get_by_role("button", name=button).first.click()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # until animations have ended
    path = IMAGES / f"console-{name}.png"
    page.screenshot(path=path)


if __name__ == "__main__":
    main()

"""The Quality pages in Airflow's frame, opened from the run and from a task."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from ecw.resources import RESOURCES
from tests.airflow.demo.test_airflow_ui import keep_screenshot
from tests.fixtures.demo import Demo

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Page

pytestmark = pytest.mark.airflow


@pytest.fixture
def run(demo: Demo) -> str:
    """Return the address of the demo's first run."""
    with sqlite3.connect(f"file:{demo.folder / 'crm.db'}?mode=ro", uri=True) as crm:
        [run_id] = crm.execute("SELECT run_id FROM ecw_run ORDER BY started_at LIMIT 1").fetchone()
    return f"{demo.airflow_url}/dags/ecw_pull/runs/{quote(run_id, safe='')}"


def opened(page: Page, heading: str) -> FrameLocator:
    """Return the page in Airflow's frame when its heading has appeared."""
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name=heading, exact=True).wait_for()
    return frame


def test_the_quality_report_opens_from_the_run(demo: Demo, page: Page, run: str) -> None:
    page.goto(run)
    page.get_by_role("link", name="Quality", exact=True).click()

    frame = opened(page, "Quality")
    keep_screenshot(page, demo, "quality-of-a-run")
    for resource in RESOURCES:
        assert frame.locator(f"section[id$='-{resource}']").count() == 1
    patient = frame.locator("section[id$='-patient']")
    assert "40 records fetched" in patient.inner_text()
    assert patient.get_by_role("row").count() > 15


def test_the_quality_report_of_a_resource_opens_from_its_check(demo: Demo, page: Page, run: str) -> None:
    page.goto(f"{run}/tasks/patient.check")
    page.get_by_role("link", name="Quality", exact=True).click()

    frame = opened(page, "Quality of patient")
    assert frame.locator("section").count() == 1
    frame.get_by_role("link", name="All of the run.").click()
    opened(page, "Quality")
    assert frame.locator("section").count() == len(RESOURCES)

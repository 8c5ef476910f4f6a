"""The pages in Airflow's frame, opened as a person opens them: from the run, from a task, from the menu."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from ecw.resources import RESOURCES
from tests.fixtures.demo import Demo
from tests.journeys.demo.test_airflow_ui import look

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
    """Return the page in Airflow's frame once it is there."""
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name=heading, exact=True).wait_for()
    return frame


def test_the_quality_report_opens_from_the_run(demo: Demo, page: Page, run: str) -> None:
    page.goto(run)
    page.get_by_role("link", name="Quality", exact=True).click()

    frame = opened(page, "Quality")
    look(page, demo, "quality-of-a-run")
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


def test_the_list_of_reports_leads_to_a_run(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.airflow_url}/plugin/ecw-quality")
    frame = opened(page, "Quality reports")
    look(page, demo, "quality-reports")
    frame.get_by_role("link").last.click()
    opened(page, "Quality")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_integration_logs_stand_in_the_menu_and_follow_airflows_mode(demo: Demo, page: Page, mode: str) -> None:
    page.goto(demo.airflow_url)
    page.evaluate(f"localStorage.setItem('theme', '{mode}')")
    page.reload()
    page.get_by_role("link", name="Integration Logs").click()

    frame = opened(page, "Integration Logs")
    frame.get_by_role("button", name="Show").wait_for()
    look(page, demo, f"integration-logs-{mode}")
    assert frame.locator("html").get_attribute("data-mode") == mode
    rows = frame.get_by_role("row")
    assert rows.count() > 1, "the demo's first run made records, and each is an entry"
    frame.get_by_label("resource").select_option("practitioner")
    frame.get_by_role("button", name="Show").click()
    frame.get_by_role("cell", name="practitioner").first.wait_for()
    assert rows.count() == 1 + 12
    assert frame.get_by_role("cell", name="encounter").count() == 0

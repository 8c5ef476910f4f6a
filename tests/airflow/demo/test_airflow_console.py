"""The console in a real browser, after the demo's own pull and push: find, replay, decide, link.

Each test decides only about its own records, so the others still wait for their tests.  These tests run before those
that pull everything again: such a pull would load the walk-in patient, which a test here links, as a new row.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from include.demo.airflow_api import AirflowApi, wait_until
from tests.airflow.demo.test_airflow_ui import keep_screenshot
from tests.fixtures.browser import too_wide
from tests.fixtures.demo import LONG, Demo

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.airflow

PAGES = ("overview", "logs", "story", "rejects", "conflicts", "mappings", "quality")
CODE = "x-not-asked"  # a gender code of the demo that no crosswalk has


def sql(demo: Demo, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(demo.folder / "crm.db", timeout=600)) as crm, crm:
        return crm.execute(statement, values).fetchall()


def console(page: Page, demo: Demo, address: str) -> Locator:
    """Open a page of the console; return its content when its heading has appeared."""
    page.goto(f"{demo.airflow_url}/plugin/emr-sync/{address}")
    content = page.get_by_test_id("emr-sync")
    content.get_by_role("heading", level=1).wait_for()
    return content


def visible(content: Locator, text: str) -> Locator:
    """Return the visible element with a text; a text for narrow screens is in the page twice."""
    return content.get_by_text(text).locator("visible=true")


def started(page: Page, demo: Demo, label: str, dag: str) -> str:
    """Press a button that starts a run, confirm, and wait until the run is over; return its state."""
    page.get_by_role("button", name=label).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Start the run").click()
    page.wait_for_url(f"**/dags/{dag}/runs/**")
    run_id = page.url.rpartition("/runs/")[2].partition("/")[0].partition("?")[0]
    airflow = AirflowApi(demo.airflow_url)
    airflow.login()
    assert wait_until(lambda: airflow.run_state(dag, run_id) in ("success", "failed"), LONG)
    return airflow.run_state(dag, run_id)


def violations(page: Page) -> list[str]:
    """Return axe-core's serious and critical violations in the console, each with the elements."""
    report = Axe().run(page, context="[data-testid=emr-sync]", options={"resultTypes": ["violations"]}).response
    return [
        f"{each['id']}: {', '.join(str(node['target']) for node in each['nodes'][:3])}"
        for each in report["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def of_patient(demo: Demo, crm_id: str) -> dict[str, Any]:
    """Return the record that eCW has of a linked patient."""
    [(ecw_id,)] = sql(demo, "SELECT ecw_id FROM ecw_link WHERE resource = 'patient' AND crm_id = ?", crm_id)
    return next(one for one in demo.sandbox.records("Patient") if one["id"] == ecw_id)


def test_a_reject_is_filtered_explained_replayed_and_loaded(demo: Demo, page: Page, mapping_files: Path) -> None:
    content = console(page, demo, "rejects")
    content.get_by_role("button", name="unmapped code").click()
    rows = content.get_by_role("region", name="Rejected records").get_by_role("row")
    rows.nth(2).wait_for(state="detached")  # the header and the one reject remain
    visible(content, "the crosswalk gender does not have the code").wait_for()
    assert rows.count() == 2
    rows.nth(1).get_by_role("link").first.click()
    content.get_by_role("heading", name="Reasons for its state").wait_for()
    assert content.get_by_text("Its last version was not loaded: unmapped code in gender").is_visible()
    keep_screenshot(page, demo, "console-story-of-a-reject")
    [(ecw_id,)] = sql(demo, "SELECT ecw_id FROM ecw_reject WHERE rule = 'unmapped code' AND state = 'open'")
    with (mapping_files / "crosswalks" / "gender.csv").open("a") as crosswalk:
        crosswalk.write(f"{CODE},Unknown,http://hl7.org/fhir/administrative-gender,\n")

    content = console(page, demo, "rejects?rule=unmapped%20code")
    content.get_by_role("checkbox", name=f"Choose {ecw_id}").check()
    assert started(page, demo, "Replay 1", "ecw_replay") == "success"

    assert sql(demo, "SELECT gender FROM patient WHERE ecw_id = ?", ecw_id) == [("Unknown",)]
    content = console(page, demo, "rejects?rule=unmapped%20code")
    content.get_by_text("No reject fits the filters.").wait_for()
    content = console(page, demo, f"story?resource=patient&ecw_id={ecw_id}")
    content.get_by_text("No longer rejected: unmapped code in gender").wait_for()
    content.get_by_text("Created in the CRM").wait_for()


def test_rejects_are_dismissed_with_a_note_and_opened_again(demo: Demo, page: Page) -> None:
    content = console(page, demo, "rejects?resource=patient&step=check")
    content.get_by_role("checkbox", name="Choose all of this page").check()
    content.get_by_role("button", name="Dismiss…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why may they stay out?").fill("a test chart of the clinic")
    dialog.get_by_role("button", name="Dismiss", exact=True).click()
    content.get_by_text("No reject fits the filters.").wait_for()
    content = console(page, demo, "rejects?resource=patient&step=check&state=dismissed")
    content.get_by_role("checkbox", name="Choose all of this page").check()
    content.get_by_role("button", name="Open again").click()
    content.get_by_text("No reject fits the filters.").wait_for()
    after = "SELECT after FROM ecw_journal WHERE operation = 'reject' ORDER BY at"
    assert [row[0] for row in sql(demo, after)] == ["dismissed: a test chart of the clinic", "open"]


def test_a_conflict_is_compared_decided_and_pushed(demo: Demo, page: Page) -> None:
    mine = "SELECT crm_id FROM ecw_conflict WHERE \"column\" = 'birth_date' AND state = 'open'"
    [(crm_id,)] = sql(demo, mine)
    [(born,)] = sql(demo, "SELECT birth_date FROM patient WHERE id = ?", crm_id)
    content = console(page, demo, "conflicts?show=conflicts&resource=patient&column=birth_date")
    content.get_by_role("button", name="Open the details").click()
    assert content.get_by_text(str(born)).count() == 0
    content.get_by_role("button", name="Compare both sides").click()
    sides = content.get_by_role("region", name="Both sides")
    sides.get_by_text(str(born)).wait_for()
    sides.get_by_text(of_patient(demo, crm_id)["birthDate"]).wait_for()
    keep_screenshot(page, demo, "console-conflict")
    content.get_by_role("button", name="Keep the CRM's", exact=True).click()
    content.get_by_text("the next push sends it").wait_for()
    assert started(page, demo, "Push this patient now", "ecw_push_patients") == "success"
    assert of_patient(demo, crm_id)["birthDate"] == str(born)
    assert sql(demo, mine) == []


def test_a_held_match_is_linked(demo: Demo, page: Page) -> None:
    [(crm_id,)] = sql(demo, "SELECT crm_id FROM ecw_intent WHERE state = 'held' AND choice IS NULL")
    content = console(page, demo, "conflicts?show=matches")
    content.get_by_role("button", name="Open the details").click()
    content.get_by_role("button", name="Compare both sides").click()
    content.get_by_role("region", name="Both sides").get_by_text("First Name").wait_for()
    keep_screenshot(page, demo, "console-held-match")
    content.get_by_role("button", name="Link to walk-in-1").click()
    visible(content, "walk-in-1; next push").wait_for()
    started(page, demo, "Push this patient now", "ecw_push_patients")
    assert of_patient(demo, crm_id)["id"] == "walk-in-1"
    console(page, demo, "conflicts?show=matches").get_by_text("No match is held.").wait_for()


def test_a_record_is_mapped_on_trial(demo: Demo, page: Page) -> None:
    [(ecw_id,)] = sql(demo, "SELECT ecw_id FROM patient WHERE last_name IS NOT NULL AND ecw_id IS NOT NULL LIMIT 1")
    [(name,)] = sql(demo, "SELECT last_name FROM patient WHERE ecw_id = ?", ecw_id)
    content = console(page, demo, "mappings")
    content.get_by_label("eCW id").fill(ecw_id)
    content.get_by_role("button", name="Read from eCW and map").click()
    row = content.get_by_role("region", name="The row")
    row.get_by_role("cell", name=name, exact=True).wait_for()
    content.get_by_label("Or the record as JSON").fill('{"resourceType": "Patient"')
    content.get_by_role("button", name="Map the JSON").click()
    content.get_by_text("The text is not JSON: see line 1").wait_for()


def test_each_page_of_the_demo_is_readable(demo: Demo, page: Page) -> None:
    """In dark mode and as narrow as a phone; tests/airflow/test_console.py tests both modes in both widths."""
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(demo.airflow_url)
    page.evaluate("localStorage.setItem('theme', 'dark')")
    for address in PAGES:
        content = console(page, demo, address)
        content.get_by_role("status").first.wait_for(state="detached")
        assert content.get_by_role("alert").count() == 0
        assert too_wide(page) == [], f"{address} scrolls sideways"
        assert violations(page) == [], address
        keep_screenshot(page, demo, f"console-{address}-dark-390")

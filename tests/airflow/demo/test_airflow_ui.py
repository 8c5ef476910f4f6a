"""Airflow's pages for a data engineer, in a real browser; $SCREENSHOTS names a folder for the screenshots."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ecw.provider_info import get_provider_info
from ecw.resources import RESOURCES
from include.demo.airflow_api import AirflowApi, wait_until
from tests.fixtures.demo import LONG, Demo

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def keep_screenshot(page: Page, demo: Demo, name: str) -> None:
    """Save a screenshot for a person."""
    path = demo.folder / f"{name}.png"
    page.screenshot(path=path)
    if folder := os.environ.get("SCREENSHOTS"):
        shutil.copy(path, Path(folder) / path.name)


@pytest.mark.airflow
def test_the_connection_form_has_the_project_s_fields_with_their_help(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.airflow_url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").fill("eClinical")
    page.get_by_role("option", name="eClinicalWorks").click()
    form.get_by_label("Base URL").wait_for()
    assert form.get_by_label("Client id").is_visible()
    assert form.get_by_label("Password").count() == 0
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    form.get_by_text("Calls a minute").wait_for()
    keep_screenshot(page, demo, "connection-form")
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    assert len(fields) > 5
    for name, field in fields.items():
        assert form.get_by_text(field["label"], exact=True).count() == 1, f"{name}: no label"
        assert form.get_by_text(field["description"]).count() == 1, f"{name}: no help text"
    for name in ("private_key", "client_secret"):
        assert form.locator(f"[name=element_{name}]").get_attribute("type") == "password"


@pytest.mark.airflow
def test_a_connection_made_in_the_form_can_be_tested(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.airflow_url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").fill("eClinical")
    page.get_by_role("option", name="eClinicalWorks").click()
    form.get_by_label("Connection ID").fill("by_hand")
    form.get_by_label("Base URL").fill(f"http://127.0.0.1:{demo.sandbox_port}/fhir/r4/DEMO01")
    form.get_by_label("Client id").fill("demo-client")
    form.get_by_label("Port").fill("0")
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    form.locator("[name=element_private_key]").fill(str(demo.folder / "keys" / "private.pem"))
    form.locator("[name=element_key_id]").fill("demo-key")
    form.get_by_role("button", name="Save").click()
    result = result_of_test(page, row_of(page, "by_hand"))
    keep_screenshot(page, demo, "test-connection-succeeds")
    assert result["status"] is True
    assert "practice DEMO01" in result["message"]
    assert page.get_by_text("Test Connection Successful").first.is_visible()


@pytest.mark.airflow
def test_testing_a_connection_with_a_wrong_key_id_names_the_next_step(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.airflow_url}/connections")
    row = row_of(page, "ecw_default")
    row.get_by_role("button", name="Edit Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    key_id = form.locator("[name=element_key_id]")
    key_id.fill("another-key")
    saved(page, form)
    try:
        result = result_of_test(page, row)
        keep_screenshot(page, demo, "test-connection-fails")
        assert result["status"] is False
        assert "has no key with the connection's key_id 'another-key'; it has: 'demo-key'" in result["message"]
        assert "Next (data engineer): put the right `kid` into key_id" in result["message"]
        assert page.get_by_text("Test Connection Failed").first.is_visible()
        assert page.get_by_text("put the right `kid` into key_id").first.is_visible()
    finally:
        page.reload()
        row.get_by_role("button", name="Edit Connection").click()
        form.get_by_role("button", name="Extra Fields", exact=True).click()
        key_id.fill("demo-key")
        saved(page, form)
    assert result_of_test(page, row)["status"] is True


@pytest.mark.airflow
def test_the_graph_shows_four_steps_a_resource(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.airflow_url}/dags/ecw_pull")
    page.get_by_role("button", name="Show Graph").click()
    graph = page.locator(".react-flow")
    graph.wait_for()
    for resource in RESOURCES:
        graph.get_by_text(resource, exact=True).first.wait_for()
    for task in ("begin", "summary"):
        graph.get_by_text(task, exact=True).first.wait_for()
    page.get_by_role("button", name="Expand all task groups").click()
    for step in ("extract", "map", "check", "load"):
        graph.get_by_text(step, exact=True).nth(len(RESOURCES) - 1).wait_for()
    page.wait_for_timeout(1000)  # only for the screenshot: the graph is animated
    keep_screenshot(page, demo, "graph")


@pytest.mark.airflow
def test_the_dags_page_for_the_person_on_call(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.airflow_url}/dags/ecw_pull")
    page.get_by_role("button", name="Dag Docs").click()
    page.get_by_role("heading", name="When something is red").wait_for()
    keep_screenshot(page, demo, "dag-docs")


@pytest.mark.airflow
@pytest.mark.parametrize("field", ["private_key"])
def test_a_secret_of_the_connection_is_not_shown_by_the_api(demo: Demo, page: Page, field: str) -> None:
    answer = page.request.get(f"{demo.airflow_url}/api/v2/connections/ecw_default")
    if answer.status == 401:
        page.goto(f"{demo.airflow_url}/connections")
        answer = page.request.get(f"{demo.airflow_url}/api/v2/connections/ecw_default")
    assert json.loads(answer.json()["extra"])[field] == "***"


def trigger(page: Page, demo: Demo, patients: str, mode: str | None) -> str:
    """Fill in the form of the Trigger button and send it; return the run's id."""
    page.goto(f"{demo.airflow_url}/dags/ecw_pull")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_text("Only these patients").first.wait_for()
    if mode is not None:
        form.get_by_role("combobox").nth(1).click()
        page.get_by_role("option", name=mode).click()
    form.locator("[name=element_patients]").fill(patients)
    keep_screenshot(page, demo, f"trigger-form-{mode or 'wrong'}".replace(" ", "-"))
    with page.expect_response(lambda answer: answer.request.method == "POST" and "dagRuns" in answer.url) as answer:
        form.get_by_role("button", name="Trigger", exact=True).click()
    assert answer.value.ok, answer.value.text()
    return str(answer.value.json()["dag_run_id"])


def test_the_form_pulls_one_patient(demo: Demo, page: Page) -> None:
    with closing(sqlite3.connect(demo.folder / "crm.db")) as crm:
        [(ecw_id,)] = crm.execute("SELECT ecw_id FROM patient WHERE ecw_id IS NOT NULL LIMIT 1").fetchall()
    run_id = trigger(page, demo, f"{ecw_id}\n", "only these patients")

    airflow = AirflowApi(demo.airflow_url)
    airflow.login()
    assert wait_until(lambda: airflow.run_state("ecw_pull", run_id) in ("success", "failed"), LONG)
    table = {row["resource"]: row for row in airflow.returned("ecw_pull", run_id, "summary")}
    assert table["patient"]["fetched"] == 1
    assert {name: row["state"] for name, row in table.items()} == {
        **dict.fromkeys(RESOURCES, "loaded"),
        "practitioner": "not asked for",
        "location": "not asked for",
    }
    assert airflow.task_states("ecw_pull", run_id)["location.extract"] == "skipped"


@pytest.mark.airflow
def test_a_wrong_form_is_refused_with_the_reason(demo: Demo, page: Page) -> None:
    run_id = trigger(page, demo, "4711", None)

    airflow = AirflowApi(demo.airflow_url)
    airflow.login()
    assert wait_until(lambda: airflow.run_state("ecw_pull", run_id) == "failed", LONG)
    page.goto(f"{demo.airflow_url}/dags/ecw_pull/runs/{run_id}/tasks/begin")
    page.get_by_text("Only these patients is filled in, and the mode is changes").first.wait_for()
    keep_screenshot(page, demo, "wrong-form")


def row_of(page: Page, connection: str) -> Locator:
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=connection, exact=True))
    row.wait_for()
    return row


def saved(page: Page, form: Locator) -> None:
    with page.expect_response(lambda answer: answer.request.method == "PATCH") as answer:
        form.get_by_role("button", name="Save").click()
    assert answer.value.ok
    form.wait_for(state="hidden")


def result_of_test(page: Page, row: Locator) -> dict[str, Any]:
    with page.expect_response("**/connections/test") as answer:
        row.get_by_role("button", name="Test Connection").click()
    assert answer.value.ok, answer.value.text()
    page.get_by_text("Test Connection ").first.wait_for()
    result: dict[str, Any] = answer.value.json()
    return result

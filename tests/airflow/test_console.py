"""The console and its login, in a real browser and a real Airflow below a path; all tests share one Airflow.

$SCREENSHOTS names a folder for the screenshots.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe

from ecw.crm.db.engine import engine_from_url
from tests.fixtures.api_server import Server, api_server
from tests.fixtures.browser import too_wide
from tests.fixtures.console_data import Scale, fill

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.airflow
PAGES = {
    "overview": "Overview of NORTH1",
    "logs": "Integration Logs",
    "story": "Record story",
    "rejects": "Rejects",
    "conflicts": "Conflicts and matches",
    "mappings": "Mappings",
    "quality": "Quality",
}
WIDTHS = (390, 1400)
LOCKED = ("/ecw/quality/run?run_id=x", "/ecw/api/status", "/ecw/api/me", "/ecw/static/console.js")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Airflow below /airflow/, with two practices that have runs, entries and rejects."""
    with api_server(tmp_path_factory.mktemp("airflow"), prefix="/airflow") as server:
        engine = engine_from_url(server.crm_url)
        fill(engine, "NORTH1")
        fill(engine, "SOUTH2", Scale(days=2, first_load=5, rejects=2))
        engine.dispose()
        yield server


Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def logins(browser: Browser, server: Server) -> Iterator[Callable[[str, str], BrowserContext]]:
    """Return a function that logs a user in once for each mode, so that Chromium caches Airflow's scripts."""
    known: dict[tuple[str, str], BrowserContext] = {}

    def login(user: str, mode: str) -> BrowserContext:
        if (user, mode) not in known:
            context = known[user, mode] = browser.new_context(locale="en-GB")
            context.add_cookies([{"name": "_token", "value": server.token(user), "url": server.address}])
            context.add_init_script(f"localStorage.setItem('theme', '{mode}')")
        return known[user, mode]

    yield login
    for context in known.values():
        context.close()


@pytest.fixture
def opened(logins: Callable[[str, str], BrowserContext], server: Server) -> Iterator[Open]:
    """Return a function that opens an address as a user; errors in the browser fail the test."""
    pages, complaints = [], []

    def open_page(
        path: str, user: str = "anna", width: int = 1400, mode: str = "light", *, broken: bool = False
    ) -> Page:
        page = logins(user, mode).new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 1000})
        page.set_default_timeout(300_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if not broken:
            page.on("response", lambda got: got.status >= 500 and complaints.append(f"{got.status} {got.url}"))
        page.goto(f"{server.address}{path}")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def to_page(name: str) -> str:
    return f"/plugin/emr-sync/{name}"


def settled(page: Page, heading: str) -> None:
    page.get_by_role("heading", name=heading, exact=True, level=1).wait_for()
    page.wait_for_function("!document.querySelector('[aria-busy=true], [role=status][aria-label=Loading]')")


def until(page: Page, holds: str, argument: str = "") -> None:
    """Wait until the JavaScript function `holds` of the table of runs returns true."""
    page.wait_for_function(
        f"argument => {{ const runs = document.querySelector('[role=region][aria-label=Runs]');"
        f" return runs && ({holds})(runs, argument); }}",
        arg=argument,
    )


def serious(page: Page) -> list[str]:
    """Return axe-core's serious and critical violations in the console, without Airflow's own frame around it."""
    violations = Axe().run(page, context="[data-testid=emr-sync]").response["violations"]
    return [
        f"{each['id']}: {node['html'][:150]}"
        for each in violations
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_readable_in_both_modes_and_widths(opened: Open, server: Server, name: str) -> None:
    for mode in ("light", "dark"):
        page = opened(to_page(name), width=WIDTHS[0], mode=mode)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            settled(page, PAGES[name])
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=Path(folder) / f"console-{name}-{mode}-{width}.png")
            assert too_wide(page) == [], f"{name} in {mode} at {width} px scrolls sideways"
            assert serious(page) == []


def test_the_console_is_in_the_navigation_and_has_a_card_on_home(opened: Open) -> None:
    page = opened("/")
    card = page.get_by_role("region", name="EMR sync")
    card.get_by_role("link", name="NORTH1").wait_for()
    assert "needs a person: 35 rejects, 2 conflicts, 1 held match, 1 unknown outcome" in card.inner_text()
    card.get_by_role("link", name="SOUTH2").click()
    settled(page, "Overview of SOUTH2")
    assert "/airflow/plugin/emr-sync/overview?practice=SOUTH2" in page.url
    page.get_by_role("link", name="EMR sync", exact=True).click()
    settled(page, "Overview of NORTH1")


def test_a_count_links_to_the_records_that_it_counts(opened: Open) -> None:
    page = opened(to_page("overview"))
    settled(page, "Overview of NORTH1")
    page.get_by_role("link", name=re.compile("20 open rejects of patient")).click()
    page.wait_for_url("**/airflow/plugin/emr-sync/rejects?practice=NORTH1&resource=patient")
    page.go_back()
    page.get_by_role("link", name="Open the run").click()
    page.wait_for_url("**/airflow/dags/ecw_pull/runs/scheduled__*")


def test_buttons_are_disabled_with_the_reason_for_a_user_without_the_right(opened: Open) -> None:
    page = opened(to_page("overview"), user="vera")
    settled(page, "Overview of NORTH1")
    button = page.get_by_role("button", name="Pull now")
    assert button.is_disabled()
    assert button.get_attribute("title") == "You may not trigger ecw_pull."


def test_a_button_shows_what_it_starts_before_it_starts_it(opened: Open) -> None:
    page = opened(to_page("overview"), user="ulla")
    settled(page, "Overview of NORTH1")
    page.get_by_role("button", name="Pull a schedule").click()
    dialog = page.get_by_role("dialog")
    start = dialog.get_by_role("button", name="Start the run")
    assert start.is_disabled()
    dialog.get_by_label("Practitioners' eCW ids").fill("pr-1 pr-2")
    assert '"practitioners": [\n    "pr-1",\n    "pr-2"\n  ]' in dialog.locator("pre").inner_text()
    assert start.is_enabled()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def test_the_logs_by_keyboard_from_run_to_entry_to_the_records_entries(opened: Open) -> None:
    page = opened(to_page("logs"))
    settled(page, "Integration Logs")
    rows = page.get_by_role("region", name="Runs").get_by_role("row")
    assert rows.count() == 1 + 25
    page.get_by_role("button", name="Open the details").first.focus()
    page.keyboard.press("Enter")
    entries = page.get_by_role("region", name="Entries of the run")
    entries.get_by_role("cell", name="200 OK").first.wait_for()
    line = entries.get_by_role("row").filter(has_text="fix the data")
    line.get_by_role("button", name="Open the details").press("Enter")
    page.get_by_text("correct the birth date in the CRM; the next push sends it.").wait_for()
    assert page.get_by_text("400 Bad Request · eCW's code EMRPAT-21").count() == 1
    page.get_by_role("link", name="All entries of the record").click()
    page.wait_for_url("**record=pat-3**")
    settled(page, "Integration Logs")
    assert page.get_by_role("region", name="Entries", exact=True).get_by_role("row").count() > 1


def test_filters_are_choices_and_are_kept_in_the_address(opened: Open, server: Server) -> None:
    page = opened(to_page("logs"))
    settled(page, "Integration Logs")
    page.get_by_label("Outcome").select_option("unknown")
    page.wait_for_url("**outcome=unknown**")
    until(page, "runs => [...runs.querySelectorAll('tbody tr')].every(row => row.innerText.includes('unknown'))")
    page.reload()
    settled(page, "Integration Logs")
    assert page.get_by_label("Outcome").input_value() == "unknown"
    address = page.get_by_role("link", name="CSV of these").get_attribute("href") or ""
    assert address.startswith(f"{server.address}/ecw/api/logs/csv?practice=NORTH1&outcome=unknown")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV of these").click()
    text = Path(download.value.path()).read_bytes()
    assert text.count(b"\r\n") > 5
    assert b",pull," not in text
    page.get_by_role("button", name="Clear").click()
    page.wait_for_url(lambda url: "outcome" not in url)


def test_the_pager_leads_to_older_pages_and_back_to_the_newest(opened: Open) -> None:
    page = opened(to_page("logs"))
    settled(page, "Integration Logs")
    first = page.get_by_role("region", name="Runs").inner_text()
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**cursor=**")
    until(page, "(runs, first) => runs.innerText !== first", first)
    page.get_by_role("link", name="Newest").click()
    page.wait_for_url(lambda url: "cursor" not in url)
    until(page, "(runs, first) => runs.innerText === first", first)


def test_an_unreachable_crm_is_shown_with_the_next_step(opened: Open, server: Server) -> None:
    crm = server.folder / "crm.db"
    away = crm.rename(server.folder / "away.db")
    crm.mkdir()
    try:
        token = {"Authorization": f"Bearer {server.token('anna')}"}
        with closing(requests.get(f"{server.address}/ecw/api/status", headers=token, timeout=600)) as answer:
            detail: dict[str, Any] = answer.json()["detail"]
        assert answer.status_code == 500
        assert detail["next_step"]
        page = opened(to_page("logs"), broken=True)
        alert = page.get_by_role("alert").first
        alert.wait_for()
        assert detail["what"] in alert.inner_text()
        assert f"Next ({detail['who']}): {detail['next_step']}" in alert.inner_text()
    finally:
        crm.rmdir()
        away.rename(crm)


def test_the_console_needs_a_login_and_is_visible_to_a_viewer(server: Server) -> None:
    for path in LOCKED:
        address = f"{server.address}{path}"
        assert requests.get(address, timeout=600).status_code == 401, path
        forged = requests.get(address, headers={"Authorization": "Bearer forged"}, timeout=600)
        assert forged.status_code in (401, 403), path
    token = server.token("vera")
    for path in LOCKED:
        address = f"{server.address}{path}"
        answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=600)
        assert answer.status_code == 200, answer.text
        # A browser sends the login as a cookie.
        assert requests.get(address, cookies={"_token": token}, timeout=600).status_code == 200, path

"""Servers that are not eCW page, compare and link in ways of their own, and nothing is lost for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.errors import InvalidResponse, ServerUnavailable
from ecw.fhir.capability import Capability
from ecw.fhir.client import EcwClient
from ecw.models import Batch, Run
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.last_updated import last_updated
from ecw.resources import Resource
from ecw.settings.pull import Options
from tests.fixtures.crm import on_sqlite
from tests.fixtures.keys import Keys
from tests.fixtures.pulling import Pulling, connect
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.extract.test_extract import held, records
from tests.pull.extract.test_strategies import Roll

pytestmark = pytest.mark.large_practice

Staged = Callable[..., Batch]
EVERYTHING: dict[str, Any] = {"end": "2026-11-22T10"}
WINDOW = {"start": "2020-01-01T00:00:00+00:00", "end": "2026-11-22T10"}


@pytest.fixture
def plain(sandbox: RunningSandbox) -> RunningSandbox:
    """A plain server whose pages are counted anew each time, ten records each."""
    sandbox.set(profile="fhir", paging="offset", undeclared="Patient._count")
    return sandbox


# -- point 1: pages that shift


@pytest.mark.parametrize("window", [EVERYTHING, WINDOW], ids=["everything", "a window"])
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "edit_page", "page": 1, "times": 1},
        {"kind": "edit_page", "times": 5},
        {"kind": "edit_page", "every": 3, "times": 12},
        {"kind": "edit_page"},  # every page, for ever
        {"kind": "deactivate_next", "page": 4, "times": 1},
    ],
    ids=str,
)
def test_a_record_that_moves_while_the_pages_are_read_loses_no_other(
    plain: RunningSandbox, staged: Staged, window: dict[str, Any], rule: dict[str, Any]
) -> None:
    everybody = held(plain, "patient")
    plain.fault(**rule, resource="Patient")

    found = records(staged("patient", "last_updated", **window))

    # Who has left the window before its page was read belongs to the next one.
    left = plain.faults()[0]["touched"] if rule["kind"] == "deactivate_next" else ()
    assert found.keys() | left == everybody.keys()


@pytest.mark.parametrize("page", [1, 3, 8])
def test_a_record_that_is_deleted_while_the_pages_are_read_loses_no_other(
    plain: RunningSandbox, staged: Staged, page: int
) -> None:
    """The first record of a page is deleted as the page after it is asked for, which then begins one too far."""
    everybody = list(held(plain, "patient"))
    plain.fault("delete_next", resource="Patient", page=page, times=1)

    found = records(staged("patient", "last_updated"))

    assert set(everybody) - found.keys() <= {plain.faults()[0]["touched"][0]}


def test_a_quiet_window_of_one_page_is_read_once_and_of_more_pages_twice(plain: RunningSandbox, staged: Staged) -> None:
    plain.set(page_size=200)
    staged("patient", "last_updated")
    assert plain.served("search", "Patient") == 1
    plain.set(page_size=100)
    staged("patient", "last_updated", end="2026-11-22T11")
    assert plain.served("search", "Patient") == 1 + 2 * 2


@on_sqlite
def test_what_moved_is_there_after_the_run_and_the_cursor_passes_nothing(pull: Pulling, plain: RunningSandbox) -> None:
    plain.fault("edit_page", resource="Patient", times=3)

    pull("practitioner", "location", "patient")

    assert len(pull.rows("SELECT id FROM patient")) == 120


class Shifting:
    """Records that a server pages by counting, and edits that others make between two pages."""

    def __init__(self, records: list[int], edits: list[int]) -> None:
        self.now, self.edits = len(records) + 1_000, iter(edits)
        self.changed = {f"p{number}": moment for number, moment in enumerate(records)}

    def pages(self, low: int, high: int, size: int = 3) -> Any:
        offset = 0
        while True:
            inside = sorted(each for each, moment in self.changed.items() if low <= moment < high)
            page = inside[offset : offset + size]
            yield [self.record(each) for each in page]
            offset += size
            if offset >= len(inside):
                return
            if (edit := next(self.edits, None)) is not None:
                self.now += 1
                self.changed[f"p{edit % len(self.changed)}"] = self.now

    def record(self, ecw_id: str) -> dict[str, Any]:
        return {"id": ecw_id, "meta": {"lastUpdated": (EPOCH + timedelta(seconds=self.changed[ecw_id])).isoformat()}}


EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=25), st.lists(st.integers(0, 100), max_size=60))
def test_whatever_is_edited_nothing_of_the_window_is_lost(moments: list[int], edits: list[int]) -> None:
    """Law: what was in the window when the search began was fetched, or has left it since."""
    server, end = Shifting(moments, edits), 900
    run = Run(
        **dict.fromkeys(("practice", "run_id", "ecw_conn_id", "crm_conn_id", "staging"), ""),  # type: ignore[typeddict-item]
        run_type="backfill",
        mode="changes",
        window_start=EPOCH.isoformat(),
        window_end=(EPOCH + timedelta(seconds=end)).isoformat(),
    )
    fetched: set[str] = set()
    try:
        for [unit] in last_updated(ExtractContext(run, Resource("patient", "Patient", ()), Options(), Roll())):  # type: ignore[arg-type]
            bounds = [datetime.fromisoformat(bound[2:]) for bound in unit.params["_lastUpdated"]]
            low, high = (int((bound - EPOCH).total_seconds()) for bound in bounds)
            for page in server.pages(low, high):
                assert unit.holds is not None
                assert unit.page is not None
                assert all(unit.holds(record) for record in page)
                unit.page(page)
                fetched |= {record["id"] for record in page}
    except ServerUnavailable:
        return  # records of one second that would not hold still: told, not lost
    assert {each for each, moment in server.changed.items() if moment < end} <= fetched


# -- point 2: how exactly times are compared


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-11-22T08:00:00.123+00:00",  # the bound's millisecond: its microseconds are later
        "2026-11-22T08:00:00+00:00",  # a server that tells seconds
        "2026-11-22T03:00:00.1-05:00",
        "2026-11-22T08:00:00.123456Z",
    ],
)
def test_a_window_that_begins_between_two_milliseconds(plain: RunningSandbox, staged: Staged, stamp: str) -> None:
    changed = next(iter(held(plain, "patient").values()))
    plain.put({**changed, "meta": {**changed["meta"], "lastUpdated": stamp}}, stamp=False)

    found = staged("patient", "last_updated", start="2026-11-22T08:10:00.123456+00:00")

    assert changed["id"] in records(found)


@pytest.mark.parametrize("written", ["08:00:00Z", "08:00:00.000Z", "08:00:00.000001Z", "08:00:00.1Z"])
def test_a_time_as_exact_as_the_server_tells_it_is_no_filter_that_it_ignored(written: str) -> None:
    unit = first_unit("2026-11-22T08:00:00.123456+00:00")

    assert unit.holds is not None
    assert unit.holds({"meta": {"lastUpdated": f"2026-11-22T{written}"}})


@pytest.mark.parametrize("written", ["07:59:59Z", "07:59:59.5Z", "07:59:59.999Z", None])
def test_a_record_from_before_the_window_is_a_filter_that_was_ignored(written: str | None) -> None:
    unit = first_unit("2026-11-22T08:00:00+00:00")

    assert unit.holds is not None
    assert not unit.holds({"meta": {"lastUpdated": f"2026-11-22T{written}"} if written else {}})


def test_bounds_are_whole_seconds() -> None:
    unit = first_unit("2026-11-22T08:00:00.999999+00:00")
    assert unit.params["_lastUpdated"][0] == "ge2026-11-22T08:00:00+00:00"


def first_unit(start: str) -> Any:
    run = Run(
        **dict.fromkeys(("practice", "run_id", "ecw_conn_id", "crm_conn_id", "staging"), ""),  # type: ignore[typeddict-item]
        run_type="backfill",
        mode="changes",
        window_start=start,
        window_end="2026-11-22T10:00:00+00:00",
    )
    ask = ExtractContext(run, Resource("patient", "Patient", ()), Options(), Roll())  # type: ignore[arg-type]
    return next(iter(next(last_updated(ask))))


# -- point 5: links, cursors, calls


@pytest.mark.parametrize("next_link", ["query", "relative", "empty", "whole"])
@pytest.mark.parametrize(("name", "strategy"), [("patient", "last_updated"), ("practitioner", "list")])
def test_next_links_of_every_form(
    sandbox: RunningSandbox, staged: Staged, next_link: str, name: str, strategy: str
) -> None:
    sandbox.set(profile="fhir", next_link=next_link)

    assert records(staged(name, strategy)) == held(sandbox, name)


def test_a_page_that_does_not_say_where_the_next_one_is_is_no_end(sandbox: RunningSandbox, staged: Staged) -> None:
    sandbox.set(profile="fhir")
    sandbox.fault("next_empty", resource="Practitioner", page=2)

    with pytest.raises(InvalidResponse, match="has a next page, but its next link has no url"):
        staged("practitioner", "list")
    sandbox.clear_faults()
    sandbox.fault("next_empty", resource="Practitioner", page=2, times=1)
    assert records(staged("practitioner", "list")) == held(sandbox, "practitioner")


def test_a_cursor_that_has_expired_is_left_and_the_search_begins_anew(
    sandbox: RunningSandbox, staged: Staged, tmp_path: Path
) -> None:
    """As after hours in which the task was down: the link that it kept is of no use any more."""
    sandbox.set(profile="fhir")
    sandbox.fault("gone", resource="Practitioner", page=3)
    with pytest.raises(ServerUnavailable, match="not go on from its own link") as error:
        staged("practitioner", "list")
    assert "record" not in error.value.what.lower()

    sandbox.clear_faults()
    sandbox.fault("gone", resource="Practitioner", page=3, times=1)
    assert records(staged("practitioner", "list")) == held(sandbox, "practitioner")


def test_large_pages_are_asked_for_where_the_server_says_that_one_may(
    sandbox: RunningSandbox,
    staged: Staged,
    client: EcwClient,
) -> None:
    sandbox.set(profile="fhir")
    client.server = Capability.parse(client.capability())

    assert records(staged("patient", "last_updated")) == held(sandbox, "patient")
    assert sandbox.served("search", "Patient") == 1

    sandbox.set(undeclared="Practitioner._count")
    client.server = Capability.parse(client.capability())
    assert records(staged("practitioner", "list")) == held(sandbox, "practitioner")
    assert sandbox.served("search", "Practitioner") == 3


@on_sqlite
@pytest.mark.parametrize("profile", ["fhir", "ecw"])
def test_the_statement_is_read_once_a_run(pull: Pulling, sandbox: RunningSandbox, profile: str) -> None:
    sandbox.set(profile=profile)

    pull("practitioner", "location", "patient", "insurance", "encounter")

    assert sandbox.served("metadata") == 1
    pull("location")
    assert sandbox.served("metadata") == 2


def test_a_statement_that_was_kept_says_what_was_read(client: EcwClient) -> None:
    found = Capability.parse(client.capability())

    assert found.resources
    assert Capability.of_text(found.text()) == found


# -- points 6 and 8: addresses and ids of every form


@on_sqlite
@pytest.mark.parametrize("base", ["/fhir", "/R4", "/fhir/R4", "/north/fhir"])
def test_a_pull_from_a_base_that_names_no_practice(
    pull: Pulling,
    sandbox_factory: Callable[..., RunningSandbox],
    practice: Callable[[RunningSandbox], None],
    base: str,
) -> None:
    server = sandbox_factory(profile="fhir", base_path=base, patients=12, quota=0)
    assert server.base_url.endswith(base)
    practice(server)

    numbers = pull("practitioner", "location", "patient")

    assert numbers["patient"]["inserted"] == 12
    [found] = pull.rows("SELECT DISTINCT practice FROM ecw_link")
    assert found["practice"].startswith("127.0.0.1-")


@on_sqlite
@pytest.mark.parametrize("ecw_id", ["4711", "p-1", "A.b-9", "x" * 64])
@pytest.mark.parametrize("known", [True, False], ids=["in the CRM", "new"])
def test_only_these_patients_takes_any_id_that_fhir_allows(
    pull: Pulling, sandbox: RunningSandbox, ecw_id: str, known: bool
) -> None:
    sandbox.set(profile="fhir")
    sandbox.put(sandbox.records("Patient")[0] | {"id": ecw_id})
    form = {"mode": "patients", "patients": [ecw_id], "resources": ["patient"]}
    for _ in range(2 if known else 1):
        run = pull.begin("manual", options=form)
        numbers = pull.resource(run, "patient")

    assert numbers["fetched"] == 1
    assert pull.rows("SELECT ecw_id FROM patient") == [{"ecw_id": ecw_id}]


@on_sqlite
def test_an_account_number_still_means_its_patient_where_the_connection_lets_forms_name_them(
    pull: Pulling, sandbox: RunningSandbox, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, sandbox, keys, pull={"mr_numbers": True})
    somebody = sandbox.records("Patient")[7]
    number = next(each["value"] for each in somebody["identifier"] if each["use"] == "secondary")
    for profile in ("ecw", "fhir"):
        sandbox.set(profile=profile)
        run = pull.begin("manual", options={"mode": "patients", "patients": [number], "resources": ["patient"]})
        assert pull.resource(run, "patient")["fetched"] == 1

    assert pull.rows("SELECT ecw_id FROM patient") == [{"ecw_id": somebody["id"]}]

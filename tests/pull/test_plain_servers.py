"""Servers that are not eCW page, compare and link differently, and no record is lost."""

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
from tests.pull.extract.test_extract import expected_records, records
from tests.pull.extract.test_strategies import FixedIds

pytestmark = pytest.mark.large_practice

Staged = Callable[..., Batch]
EVERYTHING: dict[str, Any] = {"end": "2026-11-22T10"}
WINDOW = {"start": "2020-01-01T00:00:00+00:00", "end": "2026-11-22T10"}


@pytest.fixture
def plain(sandbox: RunningSandbox) -> RunningSandbox:
    """Return a plain FHIR server that pages by offset, with ten records on a page."""
    sandbox.set(profile="fhir", paging="offset", undeclared="Patient._count")
    return sandbox


# -- pages that shift while they are read


@pytest.mark.parametrize("window", [EVERYTHING, WINDOW], ids=["everything", "a window"])
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "edit_page", "page": 1, "times": 1},
        {"kind": "edit_page", "times": 5},
        {"kind": "edit_page", "every": 3, "times": 12},
        {"kind": "edit_page"},  # every page, without end
        {"kind": "deactivate_next", "page": 4, "times": 1},
    ],
    ids=str,
)
def test_no_other_record_is_lost_when_a_record_moves_between_pages(
    plain: RunningSandbox, staged: Staged, window: dict[str, Any], rule: dict[str, Any]
) -> None:
    patients = expected_records(plain, "patient")
    plain.fault(**rule, resource="Patient")

    found = records(staged("patient", "last_updated", **window))

    # A record that left the window before its page was read belongs to the next window.
    moved = plain.faults()[0]["touched"] if rule["kind"] == "deactivate_next" else ()
    assert found.keys() | moved == patients.keys()


@pytest.mark.parametrize("page", [1, 3, 8])
def test_no_other_record_is_lost_when_a_record_is_deleted_between_pages(
    plain: RunningSandbox, staged: Staged, page: int
) -> None:
    """The first record of a page is deleted before the next request, whose page then starts one record too late."""
    patients = list(expected_records(plain, "patient"))
    plain.fault("delete_next", resource="Patient", page=page, times=1)

    found = records(staged("patient", "last_updated"))

    assert set(patients) - found.keys() <= {plain.faults()[0]["touched"][0]}


def test_a_window_of_one_page_is_read_once_and_of_more_pages_twice(plain: RunningSandbox, staged: Staged) -> None:
    plain.set(page_size=200)
    staged("patient", "last_updated")
    assert plain.served("search", "Patient") == 1
    plain.set(page_size=100)
    staged("patient", "last_updated", end="2026-11-22T11")
    assert plain.served("search", "Patient") == 1 + 2 * 2


@on_sqlite
def test_records_that_moved_between_pages_are_loaded(pull: Pulling, plain: RunningSandbox) -> None:
    plain.fault("edit_page", resource="Patient", times=3)

    pull("practitioner", "location", "patient")

    assert len(pull.rows("SELECT id FROM patient")) == 120


class Shifting:
    """A server that pages by offset, and edits of others between two pages."""

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
def test_no_record_of_the_window_is_lost_whatever_is_edited(moments: list[int], edits: list[int]) -> None:
    """Each record that was in the window when the search began was fetched, or has left the window."""
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
        for [request] in last_updated(ExtractContext(run, Resource("patient", "Patient", ()), Options(), FixedIds())):  # type: ignore[arg-type]
            bounds = [datetime.fromisoformat(bound[2:]) for bound in request.params["_lastUpdated"]]
            low, high = (int((bound - EPOCH).total_seconds()) for bound in bounds)
            for page in server.pages(low, high):
                assert request.holds is not None
                assert request.page is not None
                assert all(request.holds(record) for record in page)
                request.page(page)
                fetched |= {record["id"] for record in page}
    except ServerUnavailable:
        return  # an error, not a loss: too many edits within one second
    assert {each for each, moment in server.changed.items() if moment < end} <= fetched


# -- the precision of times


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-11-22T08:00:00.123+00:00",  # the bound's millisecond: its microseconds are later
        "2026-11-22T08:00:00+00:00",  # a server with whole seconds
        "2026-11-22T03:00:00.1-05:00",
        "2026-11-22T08:00:00.123456Z",
    ],
)
def test_a_window_that_begins_between_two_milliseconds_includes_both(
    plain: RunningSandbox, staged: Staged, stamp: str
) -> None:
    changed = next(iter(expected_records(plain, "patient").values()))
    plain.put({**changed, "meta": {**changed["meta"], "lastUpdated": stamp}}, stamp=False)

    found = staged("patient", "last_updated", start="2026-11-22T08:10:00.123456+00:00")

    assert changed["id"] in records(found)


@pytest.mark.parametrize("time", ["08:00:00Z", "08:00:00.000Z", "08:00:00.000001Z", "08:00:00.1Z"])
def test_a_record_of_the_windows_first_second_matches_the_search_at_any_precision(time: str) -> None:
    request = first_request("2026-11-22T08:00:00.123456+00:00")

    assert request.holds is not None
    assert request.holds({"meta": {"lastUpdated": f"2026-11-22T{time}"}})


@pytest.mark.parametrize("time", ["07:59:59Z", "07:59:59.5Z", "07:59:59.999Z", None])
def test_a_record_from_before_the_window_does_not_match_the_search(time: str | None) -> None:
    request = first_request("2026-11-22T08:00:00+00:00")

    assert request.holds is not None
    assert not request.holds({"meta": {"lastUpdated": f"2026-11-22T{time}"} if time else {}})


def test_the_bounds_of_a_search_are_whole_seconds() -> None:
    request = first_request("2026-11-22T08:00:00.999999+00:00")
    assert request.params["_lastUpdated"][0] == "ge2026-11-22T08:00:00+00:00"


def first_request(start: str) -> Any:
    run = Run(
        **dict.fromkeys(("practice", "run_id", "ecw_conn_id", "crm_conn_id", "staging"), ""),  # type: ignore[typeddict-item]
        run_type="backfill",
        mode="changes",
        window_start=start,
        window_end="2026-11-22T10:00:00+00:00",
    )
    context = ExtractContext(run, Resource("patient", "Patient", ()), Options(), FixedIds())  # type: ignore[arg-type]
    return next(iter(next(last_updated(context))))


# -- links, cursors, calls


@pytest.mark.parametrize("next_link", ["query", "relative", "empty", "whole"])
@pytest.mark.parametrize(("name", "strategy"), [("patient", "last_updated"), ("practitioner", "list")])
def test_next_links_of_every_form_are_followed(
    sandbox: RunningSandbox, staged: Staged, next_link: str, name: str, strategy: str
) -> None:
    sandbox.set(profile="fhir", next_link=next_link)

    assert records(staged(name, strategy)) == expected_records(sandbox, name)


def test_a_next_link_without_a_url_is_an_error_and_not_the_end(sandbox: RunningSandbox, staged: Staged) -> None:
    sandbox.set(profile="fhir")
    sandbox.fault("next_empty", resource="Practitioner", page=2)

    with pytest.raises(InvalidResponse, match="has a next page, but its next link has no url"):
        staged("practitioner", "list")
    sandbox.clear_faults()
    sandbox.fault("next_empty", resource="Practitioner", page=2, times=1)
    assert records(staged("practitioner", "list")) == expected_records(sandbox, "practitioner")


def test_a_search_whose_saved_link_has_expired_starts_again(
    sandbox: RunningSandbox, staged: Staged, tmp_path: Path
) -> None:
    """A link that a task saved hours ago may have expired on the server."""
    sandbox.set(profile="fhir")
    sandbox.fault("gone", resource="Practitioner", page=3)
    with pytest.raises(ServerUnavailable, match="own link to the next page fails") as error:
        staged("practitioner", "list")
    assert "record" not in error.value.what.lower()

    sandbox.clear_faults()
    sandbox.fault("gone", resource="Practitioner", page=3, times=1)
    assert records(staged("practitioner", "list")) == expected_records(sandbox, "practitioner")


def test_large_pages_are_requested_only_if_the_server_declares_count(
    sandbox: RunningSandbox,
    staged: Staged,
    client: EcwClient,
) -> None:
    sandbox.set(profile="fhir")
    client.server = Capability.parse(client.capability())

    assert records(staged("patient", "last_updated")) == expected_records(sandbox, "patient")
    assert sandbox.served("search", "Patient") == 1

    sandbox.set(undeclared="Practitioner._count")
    client.server = Capability.parse(client.capability())
    assert records(staged("practitioner", "list")) == expected_records(sandbox, "practitioner")
    assert sandbox.served("search", "Practitioner") == 3


@on_sqlite
@pytest.mark.parametrize("profile", ["fhir", "ecw"])
def test_the_capability_statement_is_read_once_in_a_run(pull: Pulling, sandbox: RunningSandbox, profile: str) -> None:
    sandbox.set(profile=profile)

    pull("practitioner", "location", "patient", "insurance", "encounter")

    assert sandbox.served("metadata") == 1
    pull("location")
    assert sandbox.served("metadata") == 2


def test_a_saved_capability_statement_is_read_back_unchanged(client: EcwClient) -> None:
    found = Capability.parse(client.capability())

    assert found.resources
    assert Capability.of_text(found.text()) == found


# -- base URLs and ids of every form


@on_sqlite
@pytest.mark.parametrize("base", ["/fhir", "/R4", "/fhir/R4", "/north/fhir"])
def test_a_practice_without_a_code_in_its_base_url_is_named_by_its_host(
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
def test_a_form_takes_any_patient_id_that_fhir_allows(
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
def test_a_form_takes_an_account_number_if_the_connection_allows_it(
    pull: Pulling, sandbox: RunningSandbox, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, sandbox, keys, pull={"mr_numbers": True})
    patient = sandbox.records("Patient")[7]
    number = next(each["value"] for each in patient["identifier"] if each["use"] == "secondary")
    for profile in ("ecw", "fhir"):
        sandbox.set(profile=profile)
        run = pull.begin("manual", options={"mode": "patients", "patients": [number], "resources": ["patient"]})
        assert pull.resource(run, "patient")["fetched"] == 1

    assert pull.rows("SELECT ecw_id FROM patient") == [{"ecw_id": patient["id"]}]

"""Extraction against the sandbox: every strategy brings what the practice holds, and no filter is taken on trust."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from ecw.errors import BadRequest, InvalidResponse, RecordNotFound, ServerUnavailable
from ecw.models import Batch
from ecw.pull.tombstone import is_tombstone
from ecw.staging import batch_file
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.conftest import TYPES
from tests.pull.extract.test_strategies import Roll


def records(batch: Batch) -> dict[str, dict[str, Any]]:
    found = list(batch_file.read(batch["path"]))
    assert len(found) == batch["count"] == batch["fetched"]
    return {record["id"]: record for record in found}


def held(sandbox: RunningSandbox, name: str) -> dict[str, dict[str, Any]]:
    found = {record["id"]: record for record in sandbox.records(TYPES[name])}
    assert len(found) >= 30
    return found


def test_by_names(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    batch = staged("patient", "name_sweep")

    assert records(batch) == held(sandbox, "patient")
    assert batch.get("full_scan")


def test_by_names_notices_who_is_gone(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    everybody = held(sandbox, "patient")
    nameless, deleted = list(everybody)[:2]
    sandbox.put({**everybody[nameless], "name": []})
    sandbox.delete("Patient", deleted)

    found = records(staged("patient", "name_sweep", roster=Roll({"patient": list(everybody)})))

    assert found.keys() == everybody.keys()
    assert [ecw_id for ecw_id, record in found.items() if is_tombstone(record)] == [deleted]
    assert found[nameless]["name"] == []


def test_by_patients(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    patients = Roll({"patient": list(held(sandbox, "patient"))})

    assert records(staged("insurance", "per_patient", roster=patients)) == held(sandbox, "insurance")
    assert records(staged("encounter", "per_patient", roster=patients)) == held(sandbox, "encounter")
    assert sandbox.served("search", "Coverage") == 120


@pytest.mark.parametrize("merged", [True, False])
def test_a_search_that_is_refused_for_a_patient_who_is_gone_fails_nobody_else(
    sandbox: RunningSandbox, staged: Callable[..., Batch], caplog: pytest.LogCaptureFixture, merged: bool
) -> None:
    policies, (away, *others) = held(sandbox, "insurance"), held(sandbox, "patient").values()
    if merged:
        into = {"type": "replaced-by", "other": {"reference": f"Patient/{others[0]['id']}"}}
        sandbox.put({**away, "active": False, "link": [into]})
    else:
        sandbox.delete("Patient", away["id"])
    sandbox.fault("gone", resource="Coverage", nth=1, times=1)
    patients = Roll({"patient": [away["id"], *(other["id"] for other in others[:5])]})

    found = records(staged("insurance", "per_patient", roster=patients, max_concurrency=1))

    asked = {f"Patient/{other['id']}" for other in others[:5]}
    assert found == {key: one for key, one in policies.items() if one["beneficiary"]["reference"] in asked} != {}
    assert f"A search of Coverage: eCW no longer has patient={away['id']}." in caplog.messages


def test_by_schedule(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    practitioners = Roll({"practitioner": list(held(sandbox, "practitioner"))})

    found = records(
        staged("encounter", "schedule", roster=practitioners, initial_sync_back_days=1500, look_ahead_days=1500)
    )
    some = records(
        staged("encounter", "schedule", roster=practitioners, start="2026-11-22T08:00:00+00:00", look_ahead_days=1)
    )

    assert found == held(sandbox, "encounter")
    days = sorted(record["period"]["start"][:10] for record in some.values())
    assert days
    assert "2026-10-20" < days[0] <= days[-1] < "2026-11-26"


def test_by_ids(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    """An id with a dot too, which eCW cannot read by path."""
    everybody = held(sandbox, "practitioner")
    asked = [ecw_id for ecw_id in everybody if "." in ecw_id][:2] + [
        ecw_id for ecw_id in everybody if "." not in ecw_id
    ][:2]
    assert len(asked) == 4

    assert records(staged("practitioner", "by_id", ids={"practitioner": asked})) == {
        ecw_id: everybody[ecw_id] for ecw_id in asked
    }


@pytest.mark.parametrize(
    ("name", "strategy", "roster", "ignored"),
    [
        ("insurance", "per_patient", "patient", "patient"),
        ("encounter", "schedule", "practitioner", "practitioner"),
    ],
)
def test_a_filter_that_is_ignored_stops(
    sandbox: RunningSandbox, staged: Callable[..., Batch], name: str, strategy: str, roster: str, ignored: str
) -> None:
    known = Roll({roster: list(held(sandbox, roster))[:3]})
    sandbox.fault("ignore_filter", resource=TYPES[name], value=ignored)

    with pytest.raises(InvalidResponse, match=f"A search of {TYPES[name]} by .*: the server ignored the filter"):
        staged(name, strategy, roster=known)


def test_what_changed_on_a_server_that_tells(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    sandbox.set(profile="fhir")
    everybody = held(sandbox, "patient")
    changed = sandbox.put({**next(iter(everybody.values())), "active": False})
    window = {"start": "2026-11-22T08:00:00+00:00", "end": "2099-01-01T10"}

    assert records(staged("patient", "last_updated")).keys() <= everybody.keys()
    assert records(staged("patient", "last_updated", **window)) == {changed["id"]: changed}

    sandbox.fault("ignore_filter", resource="Patient", value="_lastUpdated")
    with pytest.raises(InvalidResponse, match="by _lastUpdated"):
        staged("patient", "last_updated", **window)


def test_a_refused_search_gives_way_to_the_next_strategy(
    sandbox: RunningSandbox, staged: Callable[..., Batch], caplog: pytest.LogCaptureFixture
) -> None:
    """Patient has no bare list."""
    caplog.set_level(logging.INFO)

    assert records(staged("patient", "list", "name_sweep")) == held(sandbox, "patient")
    assert "patient: list is refused" in caplog.text
    with pytest.raises(BadRequest):
        staged("patient", "list")


@pytest.mark.parametrize("kind", ["next_gone", "next_loops", "next_elsewhere"])
def test_a_chain_of_pages_that_breaks_once_is_walked_again(
    sandbox: RunningSandbox, staged: Callable[..., Batch], kind: str
) -> None:
    sandbox.fault(kind, resource="Practitioner", page=2, times=1)

    assert records(staged("practitioner", "list")) == held(sandbox, "practitioner")


@pytest.mark.parametrize("kind", ["next_gone", "next_loops", "next_elsewhere"])
def test_a_long_chain_may_break_at_every_page(sandbox: RunningSandbox, staged: Callable[..., Batch], kind: str) -> None:
    sandbox.set(page_size=5)
    for page in range(1, 7):
        sandbox.fault(kind, resource="Practitioner", page=page, times=1)

    assert records(staged("practitioner", "list")) == held(sandbox, "practitioner")
    assert [rule["fired"] for rule in sandbox.faults() if rule["kind"] == kind] == [1] * 6


def test_a_link_that_stays_broken_is_given_up(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    sandbox.fault("next_loops", resource="Practitioner", page=2)

    with pytest.raises(InvalidResponse, match="lead back to one already read"):
        staged("practitioner", "list")
    assert sandbox.served("search", "Practitioner") == 2 + 1 + 2, "the page before the link once, then from the begin"


def test_what_an_earlier_try_fetched_is_not_fetched_again(
    sandbox: RunningSandbox, staged: Callable[..., Batch]
) -> None:
    patients = Roll({"patient": list(held(sandbox, "patient"))})
    sandbox.fault("gone", resource="Coverage", nth=61)
    with pytest.raises(RecordNotFound):
        staged("insurance", "per_patient", roster=patients)
    before = sandbox.served("search", "Coverage", 200)

    batch = staged("insurance", "per_patient", roster=patients)

    assert records(batch) == held(sandbox, "insurance")
    assert before >= 60
    assert sandbox.served("search", "Coverage", 200) < 120 + 16, "no more than what was in flight is asked for again"


def test_a_window_that_ends_later_is_another_search(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    """As when `begin` of a manual run, which ends now, is cleared after its extraction had failed half-way."""
    sandbox.set(profile="fhir")
    *early, late = list(held(sandbox, "patient").values())[:26]
    for record, time in (*((each, "09:00:00") for each in early), (late, "10:30:00")):
        sandbox.put({**record, "meta": {**record["meta"], "lastUpdated": f"2026-11-22T{time}+00:00"}}, stamp=False)
    sandbox.fault("next_gone", resource="Patient", page=2)
    with pytest.raises(ServerUnavailable):
        staged("patient", "last_updated", start="2026-11-22T08:00:00+00:00", end="2026-11-22T10")
    sandbox.clear_faults()

    found = records(staged("patient", "last_updated", start="2026-11-22T08:00:00+00:00", end="2026-11-22T11"))

    assert found.keys() == {record["id"] for record in (*early, late)}

"""Extraction against the sandbox: every strategy fetches all records of the practice and checks the filters."""

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
from tests.pull.extract.test_strategies import FixedIds


def records(batch: Batch) -> dict[str, dict[str, Any]]:
    staged = list(batch_file.read(batch["path"]))
    assert len(staged) == batch["count"] == batch["fetched"]
    return {record["id"]: record for record in staged}


def expected_records(sandbox: RunningSandbox, name: str) -> dict[str, dict[str, Any]]:
    all_records = {record["id"]: record for record in sandbox.records(TYPES[name])}
    assert len(all_records) >= 30
    return all_records


def test_name_sweep_fetches_every_patient(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    batch = staged("patient", "name_sweep")

    assert records(batch) == expected_records(sandbox, "patient")
    assert batch.get("full_scan")


def test_name_sweep_reads_known_patients_that_it_did_not_find_and_marks_deleted_ones(
    sandbox: RunningSandbox, staged: Callable[..., Batch]
) -> None:
    patients = expected_records(sandbox, "patient")
    nameless, deleted = list(patients)[:2]
    sandbox.put({**patients[nameless], "name": []})
    sandbox.delete("Patient", deleted)

    found = records(staged("patient", "name_sweep", known_ids=FixedIds({"patient": list(patients)})))

    assert found.keys() == patients.keys()
    assert [ecw_id for ecw_id, record in found.items() if is_tombstone(record)] == [deleted]
    assert found[nameless]["name"] == []


def test_per_patient_fetches_every_insurance_and_encounter(
    sandbox: RunningSandbox, staged: Callable[..., Batch]
) -> None:
    known_ids = FixedIds({"patient": list(expected_records(sandbox, "patient"))})

    assert records(staged("insurance", "per_patient", known_ids=known_ids)) == expected_records(sandbox, "insurance")
    assert records(staged("encounter", "per_patient", known_ids=known_ids)) == expected_records(sandbox, "encounter")
    assert sandbox.served("search", "Coverage") == 120


@pytest.mark.parametrize("merged", [True, False])
def test_a_search_that_is_refused_for_a_deleted_or_merged_patient_does_not_fail_the_others(
    sandbox: RunningSandbox, staged: Callable[..., Batch], caplog: pytest.LogCaptureFixture, merged: bool
) -> None:
    policies, (removed, *others) = expected_records(sandbox, "insurance"), expected_records(sandbox, "patient").values()
    if merged:
        into = {"type": "replaced-by", "other": {"reference": f"Patient/{others[0]['id']}"}}
        sandbox.put({**removed, "active": False, "link": [into]})
    else:
        sandbox.delete("Patient", removed["id"])
    sandbox.fault("gone", resource="Coverage", nth=1, times=1)
    patients = FixedIds({"patient": [removed["id"], *(other["id"] for other in others[:5])]})

    found = records(staged("insurance", "per_patient", known_ids=patients, max_concurrency=1))

    queried = {f"Patient/{other['id']}" for other in others[:5]}
    assert found == {key: one for key, one in policies.items() if one["beneficiary"]["reference"] in queried} != {}
    assert f"A search of Coverage: eCW no longer has patient={removed['id']}." in caplog.messages


def test_schedule_fetches_every_encounter_of_its_window(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    practitioners = FixedIds({"practitioner": list(expected_records(sandbox, "practitioner"))})

    found = records(
        staged("encounter", "schedule", known_ids=practitioners, initial_sync_back_days=1500, look_ahead_days=1500)
    )
    some = records(
        staged("encounter", "schedule", known_ids=practitioners, start="2026-11-22T08:00:00+00:00", look_ahead_days=1)
    )

    assert found == expected_records(sandbox, "encounter")
    days = sorted(record["period"]["start"][:10] for record in some.values())
    assert days
    assert "2026-10-20" < days[0] <= days[-1] < "2026-11-26"


def test_by_id_reads_each_id(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    """Test ids with a dot too, which eCW cannot read by path."""
    practitioners = expected_records(sandbox, "practitioner")
    chosen = [ecw_id for ecw_id in practitioners if "." in ecw_id][:2] + [
        ecw_id for ecw_id in practitioners if "." not in ecw_id
    ][:2]
    assert len(chosen) == 4

    assert records(staged("practitioner", "by_id", ids={"practitioner": chosen})) == {
        ecw_id: practitioners[ecw_id] for ecw_id in chosen
    }


@pytest.mark.parametrize(
    ("name", "strategy", "known_ids", "ignored"),
    [
        ("insurance", "per_patient", "patient", "patient"),
        ("encounter", "schedule", "practitioner", "practitioner"),
    ],
)
def test_a_filter_that_the_server_ignores_is_an_error(
    sandbox: RunningSandbox, staged: Callable[..., Batch], name: str, strategy: str, known_ids: str, ignored: str
) -> None:
    known = FixedIds({known_ids: list(expected_records(sandbox, known_ids))[:3]})
    sandbox.fault("ignore_filter", resource=TYPES[name], value=ignored)

    with pytest.raises(InvalidResponse, match=f"A search of {TYPES[name]} by .*: the server ignored the filter"):
        staged(name, strategy, known_ids=known)


def test_last_updated_fetches_only_the_changes_of_its_window(
    sandbox: RunningSandbox, staged: Callable[..., Batch]
) -> None:
    sandbox.set(profile="fhir")
    patients = expected_records(sandbox, "patient")
    changed = sandbox.put({**next(iter(patients.values())), "active": False})
    window = {"start": "2026-11-22T08:00:00+00:00", "end": "2099-01-01T10"}

    assert records(staged("patient", "last_updated")).keys() <= patients.keys()
    assert records(staged("patient", "last_updated", **window)) == {changed["id"]: changed}

    sandbox.fault("ignore_filter", resource="Patient", value="_lastUpdated")
    with pytest.raises(InvalidResponse, match="by _lastUpdated"):
        staged("patient", "last_updated", **window)


def test_after_a_refused_search_the_next_strategy_is_used(
    sandbox: RunningSandbox, staged: Callable[..., Batch], caplog: pytest.LogCaptureFixture
) -> None:
    """eCW refuses a search of Patient without parameters."""
    caplog.set_level(logging.INFO)

    assert records(staged("patient", "list", "name_sweep")) == expected_records(sandbox, "patient")
    assert "patient: list is refused" in caplog.text
    with pytest.raises(BadRequest):
        staged("patient", "list")


@pytest.mark.parametrize("kind", ["next_gone", "next_loops", "next_elsewhere"])
def test_pages_whose_link_breaks_once_are_read_again(
    sandbox: RunningSandbox, staged: Callable[..., Batch], kind: str
) -> None:
    sandbox.fault(kind, resource="Practitioner", page=2, times=1)

    assert records(staged("practitioner", "list")) == expected_records(sandbox, "practitioner")


@pytest.mark.parametrize("kind", ["next_gone", "next_loops", "next_elsewhere"])
def test_pages_whose_links_each_break_once_are_all_read(
    sandbox: RunningSandbox, staged: Callable[..., Batch], kind: str
) -> None:
    sandbox.set(page_size=5)
    for page in range(1, 7):
        sandbox.fault(kind, resource="Practitioner", page=page, times=1)

    assert records(staged("practitioner", "list")) == expected_records(sandbox, "practitioner")
    assert [rule["fired"] for rule in sandbox.faults() if rule["kind"] == kind] == [1] * 6


def test_a_link_that_stays_broken_is_an_error(sandbox: RunningSandbox, staged: Callable[..., Batch]) -> None:
    sandbox.fault("next_loops", resource="Practitioner", page=2)

    with pytest.raises(InvalidResponse, match="lead back to one already read"):
        staged("practitioner", "list")
    assert sandbox.served("search", "Practitioner") == 2 + 1 + 2, (
        "the page before the link once more, then all from the start"
    )


def test_a_retry_does_not_repeat_the_searches_of_the_failed_attempt(
    sandbox: RunningSandbox, staged: Callable[..., Batch]
) -> None:
    patients = FixedIds({"patient": list(expected_records(sandbox, "patient"))})
    sandbox.fault("gone", resource="Coverage", nth=61)
    with pytest.raises(RecordNotFound):
        staged("insurance", "per_patient", known_ids=patients)
    before = sandbox.served("search", "Coverage", 200)

    batch = staged("insurance", "per_patient", known_ids=patients)

    assert records(batch) == expected_records(sandbox, "insurance")
    assert before >= 60
    assert sandbox.served("search", "Coverage", 200) < 120 + 16, "only the searches in flight are repeated"


def test_a_retry_with_another_window_does_not_resume_the_old_search(
    sandbox: RunningSandbox, staged: Callable[..., Batch]
) -> None:
    """A manual run's window ends now: clearing its `begin` after a failed extraction gives another window."""
    sandbox.set(profile="fhir")
    *early, late = list(expected_records(sandbox, "patient").values())[:26]
    for record, time in (*((each, "09:00:00") for each in early), (late, "10:30:00")):
        sandbox.put({**record, "meta": {**record["meta"], "lastUpdated": f"2026-11-22T{time}+00:00"}}, stamp=False)
    sandbox.fault("next_gone", resource="Patient", page=2)
    with pytest.raises(ServerUnavailable):
        staged("patient", "last_updated", start="2026-11-22T08:00:00+00:00", end="2026-11-22T10")
    sandbox.clear_faults()

    found = records(staged("patient", "last_updated", start="2026-11-22T08:00:00+00:00", end="2026-11-22T11"))

    assert found.keys() == {record["id"] for record in (*early, late)}

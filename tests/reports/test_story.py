"""A record's story, from real runs with faults: found by either id, with events in order, without values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.fhir.connection import practice_of
from ecw.mapping.definition.files import load_mapping
from ecw.practice.mappings import PracticeMappings
from ecw.pull.replay.dismiss import dismiss
from ecw.push import review
from ecw.push.context import crm_side
from ecw.reports import find_records, related, reviews, story
from ecw.reports.find_records import Found
from ecw.resources import RESOURCES
from tests.fixtures.loads import a_reject, a_row, a_run, load
from tests.push.conftest import connect, crm, pushing, run  # noqa: F401 - fixtures
from tests.push.names import NAMES, person

P1 = "P1"


def story_of(engine: Engine, practice: str, record: Found) -> story.Story:
    with reading(engine) as connection:
        return story.tell(connection, practice, record)


def find(engine: Engine, practice: str, text: str) -> list[Found]:
    with reading(engine) as connection:
        return find_records.by_id(connection, practice, text)


@pytest.mark.both_databases
def test_a_loaded_and_later_rejected_record_has_both_events_in_order(crm_engine: Engine) -> None:
    load(crm_engine, rows=[a_row("a")], run=a_run("r1"))
    load(crm_engine, rejects=[a_reject("a", hour=11)], run=a_run("r2"))
    [record] = find(crm_engine, P1, "a")
    assert record.crm_id is not None
    assert find(crm_engine, P1, record.crm_id) == [record]
    record_story = story_of(crm_engine, P1, record)
    assert [(one.kind, one.run_id) for one in record_story.events] == [("rejected", "r2"), ("loaded", "r1")]
    assert record_story.events[1].mapping_version == "m1"
    assert [one.waits for one in record_story.reasons] == [True, False]
    dismiss(crm_engine, P1, "location", ["a"], "anna", "a test site")
    record_story = story_of(crm_engine, P1, record)
    assert {one.kind for one in record_story.events} == {"decision", "rejected", "loaded"}
    assert next(one for one in record_story.events if one.kind == "decision").by == "anna"
    assert not any(one.waits for one in record_story.reasons)
    load(crm_engine, rows=[a_row("a", "Other Street", hour=12)], run=a_run("r3"))
    record_story = story_of(crm_engine, P1, record)
    assert {(one.kind, one.run_id) for one in record_story.events} >= {
        ("resolved", "r3"),
        ("loaded", "r3"),
        ("loaded", "r1"),
    }


@pytest.mark.both_databases
def test_a_record_that_was_never_loaded_has_a_story(crm_engine: Engine) -> None:
    load(crm_engine, rejects=[a_reject("x")])
    assert find(crm_engine, P1, "x") == [Found("location", "x", None)]
    record_story = story_of(crm_engine, P1, Found("location", "x", None))
    assert [one.kind for one in record_story.events] == ["rejected"]
    assert record_story.reasons[0].page == "rejects"
    assert record_story.link is None
    assert find(crm_engine, P1, "nobody") == []
    assert find(crm_engine, "P2", "x") == []


def test_the_story_has_pushes_held_matches_and_rejects_of_the_push(sandbox: Any, crm: Any, run: Any) -> None:  # noqa: F811
    first = crm.add(**person(0) | {"first_name": "Eva"})
    run()
    near = crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"})
    bad = crm.add(**person(1) | {"birth_date": None})
    run()
    practice = practice_of(sandbox.base_url)
    [linked] = find(crm.engine, practice, first)
    record_story = story_of(crm.engine, practice, linked)
    assert "pushed" in {one.kind for one in record_story.events}
    [held] = find(crm.engine, practice, near)
    record_story = story_of(crm.engine, practice, held)
    assert record_story.reasons[0].page == "conflicts"
    [refused] = find(crm.engine, practice, bad)
    record_story = story_of(crm.engine, practice, refused)
    assert any(one.kind == "rejected" and one.fields == ["birth_date"] for one in record_story.events)
    assert any(one.page == "rejects" for one in record_story.reasons)
    with reading(crm.engine) as connection:
        [match] = reviews.matches(connection, practice).items
    assert (match.crm_id, match.candidates, match.linked) == (near, [linked.ecw_id], False)
    review.choose_match(crm_side(crm.engine, PracticeMappings.at("ecw_test")), near, match.candidates[0], "anna")
    record_story = story_of(crm.engine, practice, held)
    assert ("decision", "anna") in {(one.kind, one.by) for one in record_story.events}
    for record_story in (story_of(crm.engine, practice, one) for one in (linked, held, refused)):
        assert not any(name in str(asdict(record_story)) for name in (*NAMES, "Eva", "Ewa"))


def test_a_name_and_a_number_find_the_record_and_an_ecw_id_its_relations(pull: Any, crm_engine: Engine) -> None:
    pull(*RESOURCES)
    mappings = [load_mapping(name) for name in RESOURCES]
    [row] = pull.rows(
        "SELECT * FROM patient WHERE identifier IS NOT NULL AND last_name IS NOT NULL ORDER BY id LIMIT 1"
    )
    [practice] = {one["practice"] for one in pull.rows("SELECT practice FROM ecw_run")}
    with reading(crm_engine) as connection:
        for text in (row["identifier"], row["last_name"].upper(), row["last_name"][:3]):
            ids = {(one.resource, one.ecw_id) for one in find_records.by_value(connection, practice, text, mappings)}
            assert ("patient", row["ecw_id"]) in ids
        assert find_records.by_value(connection, practice, "%", mappings) == []
    refers = pull.rows("SELECT patient, ecw_id FROM insurance WHERE patient IS NOT NULL ORDER BY id LIMIT 1")[0]
    patient = Found("patient", refers["patient"].partition("/")[2], None)
    with reading(crm_engine) as connection:
        of_patient = related.related(connection, practice, patient, mappings)
        of_policy = related.related(connection, practice, Found("insurance", refers["ecw_id"], None), mappings)
    assert ("insurance", refers["ecw_id"], "from") in {(one.resource, one.ecw_id, one.refers) for one in of_patient}
    assert ("patient", patient.ecw_id, "to") in {(one.resource, one.ecw_id, one.refers) for one in of_policy}

"""The links that a run reads to recognise unchanged records."""

from sqlalchemy import Engine

from ecw.crm.state import links
from tests.fixtures.loads import a_reject, a_row, a_run, load


def test_a_record_is_unchanged_only_with_the_loaded_hash_and_mapping(crm_engine: Engine) -> None:
    row = a_row("a")
    load(crm_engine, [row, a_row("b")])
    known = links.known(crm_engine, "P1", "location")
    assert len(known) == 2
    assert known.unchanged("a", row["hash"], "m1")
    assert not known.unchanged("a", row["hash"], "m2")
    assert not known.unchanged("a", "another hash", "m1")
    assert not known.unchanged("b", row["hash"], "m1")
    assert len(links.known(crm_engine, "P2", "location")) == 0


def test_the_links_that_a_run_wrote_itself_are_not_known_to_it(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a"), a_row("b")], run=a_run("r1"))
    load(crm_engine, [a_row("b", "New", 11), a_row("c")], run=a_run("r2"))
    assert len(links.known(crm_engine, "P1", "location", run_id="r2")) == 1
    assert len(links.known(crm_engine, "P1", "location", run_id="r3")) == 3


def test_the_ids_of_a_resource_are_sorted_and_of_one_practice(crm_engine: Engine) -> None:
    load(crm_engine, [a_row(ecw_id) for ecw_id in "bdac"], run=a_run("r1"))
    load(crm_engine, [a_row("e")], run=a_run("r2"))
    assert list(links.ids(crm_engine, "P1", "location")) == ["a", "b", "c", "d", "e"]
    assert list(links.ids(crm_engine, "P2", "location")) == []


def test_a_record_with_a_rejected_version_does_not_count_as_unchanged(crm_engine: Engine) -> None:
    row = a_row("a", hour=10)
    load(crm_engine, [row, a_row("b")])
    load(crm_engine, [], [a_reject("a", hour=11)], run=a_run("r2"))
    assert not links.known(crm_engine, "P1", "location").unchanged("a", row["hash"], "m1")
    assert len(links.known(crm_engine, "P1", "location")) == 1

    corrected = row | {"version": a_row("a", hour=12)["version"]}
    assert load(crm_engine, [corrected], run=a_run("r3")).unchanged == 1
    assert links.known(crm_engine, "P1", "location").unchanged("a", row["hash"], "m1")


def test_a_record_with_a_rejected_push_still_counts_as_unchanged(crm_engine: Engine) -> None:
    row = a_row("a")
    load(crm_engine, [row])
    load(crm_engine, [], [a_reject("a") | {"step": "push"}], run=a_run("r2"), rejected=1)
    assert links.known(crm_engine, "P1", "location").unchanged("a", row["hash"], "m1")

from sqlalchemy import Engine

from ecw.crm import links
from tests.fixtures.loads import a_row, a_run, load


def test_known_recognises_exactly_what_was_loaded(crm_engine: Engine) -> None:
    row = a_row("a")
    load(crm_engine, [row, a_row("b")])
    known = links.known(crm_engine, "P1", "location")
    assert len(known) == 2
    assert known.unchanged("a", row["hash"], "m1")
    assert not known.unchanged("a", row["hash"], "m2")
    assert not known.unchanged("a", "another hash", "m1")
    assert not known.unchanged("b", row["hash"], "m1")
    assert len(links.known(crm_engine, "P2", "location")) == 0


def test_a_run_does_not_know_what_it_made_itself(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a"), a_row("b")], run=a_run("r1"))
    load(crm_engine, [a_row("b", "New", 11), a_row("c")], run=a_run("r2"))
    assert len(links.known(crm_engine, "P1", "location", run_id="r2")) == 1
    assert len(links.known(crm_engine, "P1", "location", run_id="r3")) == 3


def test_the_ids_of_a_resource(crm_engine: Engine) -> None:
    load(crm_engine, [a_row(ecw_id) for ecw_id in "bdac"], run=a_run("r1"))
    load(crm_engine, [a_row("e")], run=a_run("r2"))
    assert list(links.ids(crm_engine, "P1", "location")) == ["a", "b", "c", "d", "e"]
    assert list(links.ids(crm_engine, "P2", "location")) == []

"""Rejects of a load: kept with their reason, resolved by a newer accepted version, opened again."""

from sqlalchemy import Engine

from tests.fixtures.loads import a_reject, a_row, a_run, everything, load


def states(engine: Engine) -> dict[tuple[str, str], tuple[str, str | None]]:
    rejects = everything(engine)["ecw_reject"]
    return {(row["ecw_id"], row["rule"]): (row["state"], row["resolved_run"]) for row in rejects}


def test_a_reject_is_stored_with_its_reason_and_its_batch_file(crm_engine: Engine) -> None:
    assert load(crm_engine, [a_row("a")], [a_reject("b"), a_reject("b", "format", "npi")]).rejected == 1
    first, second = everything(crm_engine)["ecw_reject"]
    assert {first["rule"], second["rule"]} == {"required", "format"}
    assert (first["state"], first["reason"], first["batch"]) == ("open", "is empty", "/nowhere/extract.ndjson.gz")


def test_a_record_that_is_accepted_later_resolves_its_rejects(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a"), a_reject("b")])
    load(crm_engine, [a_row("a", hour=11)], run=a_run("r2"))
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2"), ("b", "required"): ("open", None)}


def test_the_same_version_accepted_later_resolves_its_reject(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a", hour=10)])
    load(crm_engine, [a_row("a", hour=10)], run=a_run("r2"))
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2")}


def test_an_older_version_that_is_accepted_resolves_nothing(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a", hour=11)])
    load(crm_engine, [a_row("a", hour=9)], run=a_run("backfill", run_type="backfill"))
    assert states(crm_engine) == {("a", "required"): ("open", None)}


def test_a_reject_of_a_version_older_than_the_loaded_one_is_resolved_at_once(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", hour=11)])
    assert load(crm_engine, [], [a_reject("a", hour=9)], run=a_run("r2")).rejected == 1
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2")}


def test_a_reject_for_a_new_reason_resolves_the_reject_for_the_old_one(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a", "required")])
    load(crm_engine, [], [a_reject("a", "format", hour=11)], run=a_run("r2"))
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2"), ("a", "format"): ("open", None)}


def test_a_reject_that_recurs_is_open_again_and_keeps_its_first_run(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a")])
    load(crm_engine, [a_row("a", hour=11)], run=a_run("r2"))
    load(crm_engine, [], [a_reject("a", hour=12)], run=a_run("r3"))
    [reject] = everything(crm_engine)["ecw_reject"]
    assert (reject["state"], reject["first_run"], reject["last_run"]) == ("open", "r1", "r3")


def test_a_load_leaves_the_rejects_of_other_practices_open(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a")])
    load(crm_engine, [a_row("a", hour=11)], run=a_run("r1", practice="P2"))
    assert states(crm_engine) == {("a", "required"): ("open", None)}

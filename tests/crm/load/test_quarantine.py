from sqlalchemy import Engine

from tests.fixtures.loads import a_reject, a_row, a_run, everything, load


def states(engine: Engine) -> dict[tuple[str, str], tuple[str, str | None]]:
    rejects = everything(engine)["ecw_reject"]
    return {(row["ecw_id"], row["rule"]): (row["state"], row["resolved_run"]) for row in rejects}


def test_a_reject_is_kept_with_its_reason_and_where_the_record_lies(crm_engine: Engine) -> None:
    assert load(crm_engine, [a_row("a")], [a_reject("b"), a_reject("b", "format", "npi")]).rejected == 1
    first, second = everything(crm_engine)["ecw_reject"]
    assert {first["rule"], second["rule"]} == {"required", "format"}
    assert (first["state"], first["reason"], first["batch"]) == ("open", "is empty", "/nowhere/extract.ndjson.gz")


def test_a_record_that_is_accepted_later_resolves_its_rejects(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a"), a_reject("b")])
    load(crm_engine, [a_row("a", hour=11)], run=a_run("r2"))
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2"), ("b", "required"): ("open", None)}


def test_the_same_version_accepted_after_the_mapping_was_fixed_resolves_it(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a", hour=10)])
    load(crm_engine, [a_row("a", hour=10)], run=a_run("r2"))
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2")}


def test_an_older_version_that_is_accepted_resolves_nothing(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a", hour=11)])
    load(crm_engine, [a_row("a", hour=9)], run=a_run("backfill", run_type="backfill"))
    assert states(crm_engine) == {("a", "required"): ("open", None)}


def test_a_refused_version_older_than_what_the_crm_has_is_resolved_at_once(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", hour=11)])
    assert load(crm_engine, [], [a_reject("a", hour=9)], run=a_run("r2")).rejected == 1
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2")}


def test_a_reason_that_no_longer_holds_gives_way_to_the_new_one(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a", "required")])
    load(crm_engine, [], [a_reject("a", "format", hour=11)], run=a_run("r2"))
    assert states(crm_engine) == {("a", "required"): ("resolved", "r2"), ("a", "format"): ("open", None)}


def test_a_reject_that_comes_back_is_open_again_and_remembers_its_first_run(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a")])
    load(crm_engine, [a_row("a", hour=11)], run=a_run("r2"))
    load(crm_engine, [], [a_reject("a", hour=12)], run=a_run("r3"))
    [reject] = everything(crm_engine)["ecw_reject"]
    assert (reject["state"], reject["first_run"], reject["last_run"]) == ("open", "r1", "r3")


def test_rejects_of_another_practice_stay_as_they_are(crm_engine: Engine) -> None:
    load(crm_engine, [], [a_reject("a")])
    load(crm_engine, [a_row("a", hour=11)], run=a_run("r1", practice="P2"))
    assert states(crm_engine) == {("a", "required"): ("open", None)}

"""Rejected records again, over the real steps, on both databases."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecw.cli import group
from ecw.errors import ConfigurationError
from ecw.pull import steps
from ecw.pull.replay import steps as replay
from ecw.reports.status import status
from ecw.resources import RESOURCES
from ecw.staging import batch_file, filesystem
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = pytest.mark.large_practice

OPEN = "SELECT resource, ecw_id, rule FROM ecw_reject WHERE state = 'open' ORDER BY resource, ecw_id, rule"


def again(pull: Pulling, run_id: str = "manual__1", **chosen: object) -> dict[str, dict[str, int]]:
    run = pull.replay(run_id, chosen)
    found = {}
    for resource in RESOURCES:
        if (gathered := replay.collect(run, resource)) is not None:
            found[resource] = steps.load(steps.check(steps.map(gathered)))
    return found


def numbers(fetched: int, **others: int) -> dict[str, int]:
    return {"fetched": fetched, "rejected": 0, "inserted": 0, "updated": 0, "unchanged": 0, **others}


def without_females(mappings: Path) -> str:
    """Take a code out of the gender crosswalk; return the file as it was."""
    file = mappings / "crosswalks" / "gender.csv"
    whole = file.read_text()
    file.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith("female,")))
    return whole


def nameless(sandbox: RunningSandbox, number: int) -> str:
    """Take the family name of a practitioner away; return the id."""
    record = sandbox.records("Practitioner")[number]
    sandbox.put({**record, "name": [{"use": "usual", "given": ["Nobody"]}]})
    return str(record["id"])


def test_after_fixing_a_crosswalk_the_rows_are_loaded_without_a_call_and_the_cursor_stays(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path
) -> None:
    whole = without_females(mappings)
    held_back = pull("patient")["patient"]["rejected"]
    assert 20 < held_back < 120
    cursor = pull.rows("SELECT * FROM ecw_cursor")

    (mappings / "crosswalks" / "gender.csv").write_text(whole)
    calls = sandbox.counts()["total"]
    assert again(pull) == {"patient": numbers(held_back, inserted=held_back)}

    assert sandbox.counts()["total"] == calls
    assert pull.rows("SELECT * FROM ecw_cursor") == cursor
    assert pull.rows(OPEN) == []
    [row] = pull.rows("SELECT * FROM ecw_run WHERE run_id = 'manual__1'")
    assert (row["run_type"], row["mode"], row["state"], row["resource"]) == ("manual", "replay", "loaded", "patient")
    assert pull("patient")["patient"] == numbers(120, unchanged=120), "the pull finds them as it would have made them"


def test_a_replay_and_a_pull_have_run_ids_of_their_own(pull: Pulling, sandbox: RunningSandbox) -> None:
    """What they stage and count is kept under the run's id; Airflow keeps ids apart within a DAG only."""
    nameless(sandbox, 7)
    run = pull.begin("manual", run_id="mine", options={"resources": ["practitioner"]})
    pull.resource(run, "practitioner")
    before = pull.rows("SELECT * FROM ecw_run")

    with pytest.raises(ConfigurationError, match="A pull of the practice has the run id mine already"):
        again(pull, "mine")
    assert pull.rows("SELECT * FROM ecw_run") == before
    assert (
        len(list(batch_file.read(filesystem.join(run["staging"], "practitioner", "extract.ndjson.gz"))))
        == before[0]["fetched"]
    )

    again(pull, "theirs")
    again(pull, "theirs")
    with pytest.raises(ConfigurationError, match="A replay of the practice has the run id theirs already"):
        pull.begin("manual", run_id="theirs")


def test_a_collect_that_fails_is_in_the_ledger_and_a_resource_without_rejects_is_left_alone(
    pull: Pulling, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless(sandbox, 3)
    assert pull("practitioner")["practitioner"]["rejected"] == 1
    run = pull.replay("manual__1", {})

    elsewhere = {"conn_type": "ecw", "host": f"{sandbox.base_url}-2"}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(elsewhere))
    with pytest.raises(ConfigurationError, match="The run began with the practice at"):
        replay.collect(run, "practitioner")

    assert replay.collect(run, "location") is None
    [row] = pull.rows("SELECT resource, state, error FROM ecw_run WHERE run_id = 'manual__1'")
    assert (row["resource"], row["state"]) == ("practitioner", "failed")
    assert "The run began with the practice at" in row["error"]


def test_what_is_still_wrong_stays_rejected_and_can_be_replayed_again(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path
) -> None:
    whole = without_females(mappings)
    held_back = pull("patient")["patient"]["rejected"]
    before = pull.rows(OPEN)

    assert again(pull, "manual__1") == {"patient": numbers(held_back, rejected=held_back)}
    assert pull.rows(OPEN) == before

    (mappings / "crosswalks" / "gender.csv").write_text(whole)
    assert again(pull, "manual__2") == {"patient": numbers(held_back, inserted=held_back)}
    assert again(pull, "manual__3") == {}


def test_a_replay_makes_nothing_fresh(pull: Pulling, sandbox: RunningSandbox) -> None:
    nameless(sandbox, 7)
    pull("practitioner")
    [loaded] = [one.loaded_at for one in status(pull.crm) if one.resource == "practitioner"]
    again(pull)
    [after] = [one for one in status(pull.crm) if one.resource == "practitioner"]
    assert (after.run_id, after.loaded_at) == ("manual__1", loaded)


def test_a_replay_that_was_killed_is_cleared_and_ends_the_same(pull: Pulling, mappings: Path) -> None:
    whole = without_females(mappings)
    held_back = pull("patient")["patient"]["rejected"]
    (mappings / "crosswalks" / "gender.csv").write_text(whole)
    run = pull.replay("manual__1", None)
    gathered = replay.collect(run, "patient")
    assert gathered is not None
    checked = steps.check(steps.map(gathered))
    first = steps.load(checked)

    assert steps.load(checked) == first == numbers(held_back, inserted=held_back), "the load's task ran twice"
    assert replay.collect(run, "patient") is None, "the whole group is cleared: nothing is left to do"
    [row] = replay.summary(run)
    assert (row["resource"], row["inserted"], row["state"]) == ("patient", held_back, "loaded")


def test_what_is_newer_in_the_crm_stays(pull: Pulling, sandbox: RunningSandbox) -> None:
    ecw_id = nameless(sandbox, 7)
    pull("practitioner")
    stale = pull.rows("SELECT * FROM ecw_reject")
    record = next(record for record in sandbox.records("Practitioner") if record["id"] == ecw_id)
    sandbox.put({**record, "name": [{"use": "usual", "family": "Newer", "given": ["Ann"]}]})
    pull("practitioner")
    assert pull.rows(OPEN) == []
    with pull.crm.begin() as connection:  # as if the newer version had come in beside the replay
        connection.exec_driver_sql("UPDATE ecw_reject SET state = 'open'")

    assert again(pull) == {"practitioner": numbers(1, rejected=1)}
    assert pull.rows(f"SELECT last_name FROM practitioner WHERE ecw_id = '{ecw_id}'") == [{"last_name": "Newer"}]  # noqa: S608
    assert len(stale) == len(pull.rows("SELECT * FROM ecw_reject"))


def test_rejected_in_several_runs_and_for_several_reasons_is_one_record_in_its_newest_version(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    ecw_id = nameless(sandbox, 7)
    pull("practitioner")
    nameless(sandbox, 7)  # a newer version
    pull("practitioner")
    newest = next(record for record in sandbox.records("Practitioner") if record["id"] == ecw_id)
    first, last = (pull.rows("SELECT DISTINCT first_run, last_run FROM ecw_reject"))[0].values()
    assert first != last
    with pull.crm.begin() as connection:  # a second reason, known from the first run's batch alone
        batch = filesystem.join(
            batch_file.run_folder(pull.staging, sandbox.practice, first), "practitioner", "extract.ndjson.gz"
        )
        connection.exec_driver_sql(
            "INSERT INTO ecw_reject SELECT practice, resource, ecw_id, step, 'another', 'npi', reason, hash, "  # noqa: S608
            f"source_version, '{batch}', state, first_run, last_run, resolved_run, read_at FROM ecw_reject"
        )
    run = pull.replay("manual__1", {"run": first})
    gathered = replay.collect(run, "practitioner")

    assert gathered is not None
    assert gathered["count"] == 1
    assert list(batch_file.read(gathered["path"])) == [newest]


@pytest.mark.parametrize(
    "chosen",
    [{"resources": ["practitioner"]}, {"rule": "required"}, {"ids": ["{id}"]}, {"run": "{run}"}, {}],
    ids=["resource", "rule", "id", "run", "all"],
)
def test_rejects_are_chosen_by_resource_rule_id_and_run(
    pull: Pulling, sandbox: RunningSandbox, chosen: dict[str, object]
) -> None:
    first = nameless(sandbox, 7)
    pull("practitioner")
    second = nameless(sandbox, 9)
    pull("practitioner")
    with pull.crm.begin() as connection:  # as if the first had gone unseen since
        connection.exec_driver_sql(
            "UPDATE ecw_reject SET last_run = first_run, rule = 'required' WHERE ecw_id = %s"
            if connection.dialect.name == "postgresql"
            else "UPDATE ecw_reject SET last_run = first_run, rule = 'required' WHERE ecw_id = ?",
            (first,),
        )
        connection.exec_driver_sql(f"UPDATE ecw_reject SET rule = 'other' WHERE ecw_id = '{second}'")  # noqa: S608
    [run_id] = {
        row["first_run"] for row in pull.rows("SELECT ecw_id, first_run FROM ecw_reject") if row["ecw_id"] == first
    }
    filled = {
        name: [first] if value == ["{id}"] else run_id if value == "{run}" else value for name, value in chosen.items()
    }
    both = not chosen or "resources" in chosen

    run = pull.replay("manual__1", filled)
    gathered = replay.collect(run, "practitioner")

    assert gathered is not None
    assert {record["id"] for record in batch_file.read(gathered["path"])} == ({first, second} if both else {first})


def test_a_choice_that_no_reject_fits_is_refused_with_those_there_are(pull: Pulling, sandbox: RunningSandbox) -> None:
    nameless(sandbox, 7)
    pull("practitioner")
    [rule] = {row["rule"] for row in pull.rows(OPEN)}
    for chosen, said in (
        ({"rule": "requird"}, f"'requird'.*use one of: {rule}"),
        ({"run": "manual__never"}, "'manual__never'.*use one of: scheduled__2026-11-22T01"),
        ({"ids": ["nobody"]}, "None of the 1 ids"),
        ({"resources": ["practitoner"]}, "did you mean 'practitioner'"),
        ({"colour": "red"}, "sent a field that the form of a replay does not have"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            pull.replay("manual__1", chosen)
    assert pull.rows("SELECT * FROM ecw_run WHERE run_id = 'manual__1'") == []


@pytest.mark.parametrize("trouble", ["purged", "damaged"])
def test_what_is_no_longer_staged_is_reported_and_the_others_go_on(
    pull: Pulling, sandbox: RunningSandbox, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost = nameless(sandbox, 7)
    pull("practitioner")
    there = nameless(sandbox, 9)
    with pull.crm.begin() as connection:
        connection.exec_driver_sql("UPDATE ecw_reject SET batch = NULL")  # a reason of the load names no batch
    run = pull.begin()
    [(batch,)] = [(b["path"],) for b in [pull.batches["practitioner"][0]]]
    extracted = steps.extract(run, "practitioner")
    only = [record for record in batch_file.read(extracted["path"]) if record["id"] != lost]
    with batch_file.writer(extracted["path"]) as written:
        for record in only:
            written.write(record)
    steps.load(steps.check(steps.map({**extracted, "count": len(only), "fetched": len(only)})))
    if trouble == "purged":
        filesystem.remove(batch.rpartition("/")[0].rpartition("/")[0])
    else:
        Path(batch).write_bytes(Path(batch).read_bytes()[:-20])

    with caplog.at_level(logging.WARNING):
        assert again(pull) == {"practitioner": numbers(1, rejected=1)}
    assert (
        f"1 records are no longer in the staging area (1 staged batches are absent or damaged): {lost}." in caplog.text
    )
    assert "pull them by these ids" in caplog.text
    assert {row["ecw_id"] for row in pull.rows(OPEN)} == {lost, there}


def test_the_deleted_and_those_of_a_push_are_reported(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    nameless(sandbox, 7)
    pull("practitioner")
    with pull.crm.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ecw_reject SELECT practice, resource, 'g-1', step, 'deleted', '', reason, hash, "
            "source_version, batch, state, first_run, last_run, resolved_run, read_at FROM ecw_reject "
            "WHERE rule <> 'deleted'"
        )
        connection.exec_driver_sql(
            "INSERT INTO ecw_reject SELECT practice, resource, 'crm:17', 'push', 'required', 'gender', reason, hash, "
            "source_version, NULL, state, first_run, last_run, resolved_run, read_at FROM ecw_reject "
            "WHERE rule <> 'deleted'"
        )
    with caplog.at_level(logging.WARNING):
        assert again(pull) == {"practitioner": numbers(1, rejected=1)}
    assert "1 records are no longer in eCW and cannot be replayed: g-1." in caplog.text
    assert "1 rejects are of a push and cannot be replayed: crm:17." in caplog.text
    assert len(pull.rows(OPEN)) == 3


def test_what_waits_for_another_record_is_loaded_once_that_one_is_here(pull: Pulling) -> None:
    waiting = pull("practitioner", "encounter")["encounter"]["rejected"]
    assert waiting > 0
    assert again(pull, "manual__1") == {"encounter": numbers(0)}
    pull("patient")
    assert again(pull, "manual__2") == {"encounter": numbers(waiting, inserted=waiting)}
    assert pull.rows(OPEN) == []


def test_a_record_without_an_id_is_found_by_its_content(pull: Pulling, sandbox: RunningSandbox) -> None:
    run = pull.begin()
    extracted = steps.extract(run, "location")
    records = list(batch_file.read(extracted["path"]))
    with batch_file.writer(extracted["path"]) as written:
        for record in [*records[:-1], {**records[-1], "id": "not an id!"}]:
            written.write(record)
    assert steps.load(steps.check(steps.map(extracted)))["rejected"] == 1
    assert again(pull) == {"location": numbers(1, rejected=1)}


def test_the_shares_of_a_suite_do_not_stop_a_batch_of_rejects(pull: Pulling, mappings: Path) -> None:
    suite = mappings.parent / "quality" / "practitioner.yaml"
    as_it_was = suite.read_text()
    rule = (
        "  - type: expect_column_values_to_be_in_set\n    kwargs: {column: active, value_set: [true]}\n"
        "    meta: {on_fail: reject, max_failed_ratio: 0.5}\n"
    )
    suite.write_text(re.sub(r"small_batch: \d+", "small_batch: 1", as_it_was) + rule)
    held_back = pull("practitioner")["practitioner"]["rejected"]
    assert 1 < held_back < 15, "the rule's share is not reached in a pull"

    assert again(pull) == {"practitioner": numbers(held_back, rejected=held_back)}, "and says nothing in a replay"
    suite.write_text(as_it_was)
    assert again(pull, "manual__2") == {"practitioner": numbers(held_back, inserted=held_back)}


def test_in_a_terminal(pull: Pulling, sandbox: RunningSandbox, mappings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = without_females(mappings)
    held_back = pull("patient")["patient"]["rejected"]
    (mappings / "crosswalks" / "gender.csv").write_text(whole)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", pull.staging)
    command = ["replay", "--rule", "unmapped code", "--ecw-conn-id", "ecw_test", "--crm-conn-id", "crm_test"]

    shown = CliRunner().invoke(group, command, catch_exceptions=False).output
    assert f"patient   {held_back}" in shown
    assert pull.rows(OPEN) == []
    del command[1:3]
    shown = CliRunner().invoke(group, command, catch_exceptions=False).output
    assert "There is no open reject among the chosen ones." in shown

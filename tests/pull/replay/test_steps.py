"""A replay of rejected records with the real steps, on both databases."""

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


def run_replay(pull: Pulling, run_id: str = "manual__1", **chosen: object) -> dict[str, dict[str, int]]:
    run = pull.replay(run_id, chosen)
    loaded = {}
    for resource in RESOURCES:
        if (collected := replay.collect(run, resource)) is not None:
            loaded[resource] = steps.load(steps.check(steps.map(collected)))
    return loaded


def counts(fetched: int, **others: int) -> dict[str, int]:
    return {"fetched": fetched, "rejected": 0, "inserted": 0, "updated": 0, "unchanged": 0, **others}


def remove_female_code(mappings: Path) -> str:
    """Remove a code from the gender crosswalk; return the original file."""
    file = mappings / "crosswalks" / "gender.csv"
    original = file.read_text()
    file.write_text("".join(line for line in original.splitlines(keepends=True) if not line.startswith("female,")))
    return original


def remove_family_name(sandbox: RunningSandbox, number: int) -> str:
    """Remove the family name of a practitioner; return the id."""
    record = sandbox.records("Practitioner")[number]
    sandbox.put({**record, "name": [{"use": "usual", "given": ["Nobody"]}]})
    return str(record["id"])


def test_after_a_fix_of_a_crosswalk_a_replay_loads_the_rows_without_a_call_to_ecw(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path
) -> None:
    original = remove_female_code(mappings)
    rejected = pull("patient")["patient"]["rejected"]
    assert 20 < rejected < 120
    cursor = pull.rows("SELECT * FROM ecw_cursor")

    (mappings / "crosswalks" / "gender.csv").write_text(original)
    calls = sandbox.counts()["total"]
    assert run_replay(pull) == {"patient": counts(rejected, inserted=rejected)}

    assert sandbox.counts()["total"] == calls
    assert pull.rows("SELECT * FROM ecw_cursor") == cursor
    assert pull.rows(OPEN) == []
    [row] = pull.rows("SELECT * FROM ecw_run WHERE run_id = 'manual__1'")
    assert (row["run_type"], row["mode"], row["state"], row["resource"]) == ("manual", "replay", "loaded", "patient")
    assert pull("patient")["patient"] == counts(120, unchanged=120), "the pull would load the same rows"


def test_a_replay_and_a_pull_cannot_have_the_same_run_id(pull: Pulling, sandbox: RunningSandbox) -> None:
    """Staged batches and counts belong to the run id, and Airflow's run ids are unique only within a DAG."""
    remove_family_name(sandbox, 7)
    run = pull.begin("manual", run_id="first", options={"resources": ["practitioner"]})
    pull.resource(run, "practitioner")
    before = pull.rows("SELECT * FROM ecw_run")

    with pytest.raises(ConfigurationError, match="A pull of the practice has the run id first already"):
        run_replay(pull, "first")
    assert pull.rows("SELECT * FROM ecw_run") == before
    assert (
        len(list(batch_file.read(filesystem.join(run["staging"], "practitioner", "extract.ndjson.gz"))))
        == before[0]["fetched"]
    )

    run_replay(pull, "second")
    run_replay(pull, "second")
    with pytest.raises(ConfigurationError, match="A replay of the practice has the run id second already"):
        pull.begin("manual", run_id="second")


def test_a_collect_that_fails_is_recorded_and_a_resource_without_rejects_is_skipped(
    pull: Pulling, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_family_name(sandbox, 3)
    assert pull("practitioner")["practitioner"]["rejected"] == 1
    run = pull.replay("manual__1", {})

    other_practice = {"conn_type": "ecw", "host": f"{sandbox.base_url}-2"}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(other_practice))
    with pytest.raises(ConfigurationError, match="The run began with the practice at"):
        replay.collect(run, "practitioner")

    assert replay.collect(run, "location") is None
    [row] = pull.rows("SELECT resource, state, error FROM ecw_run WHERE run_id = 'manual__1'")
    assert (row["resource"], row["state"]) == ("practitioner", "failed")
    assert "The run began with the practice at" in row["error"]


def test_records_that_are_still_wrong_stay_rejected_and_can_be_replayed_again(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path
) -> None:
    original = remove_female_code(mappings)
    rejected = pull("patient")["patient"]["rejected"]
    before = pull.rows(OPEN)

    assert run_replay(pull, "manual__1") == {"patient": counts(rejected, rejected=rejected)}
    assert pull.rows(OPEN) == before

    (mappings / "crosswalks" / "gender.csv").write_text(original)
    assert run_replay(pull, "manual__2") == {"patient": counts(rejected, inserted=rejected)}
    assert run_replay(pull, "manual__3") == {}


def test_a_replay_does_not_count_as_a_refresh(pull: Pulling, sandbox: RunningSandbox) -> None:
    remove_family_name(sandbox, 7)
    pull("practitioner")
    [loaded] = [one.loaded_at for one in status(pull.crm) if one.resource == "practitioner"]
    run_replay(pull)
    [after] = [one for one in status(pull.crm) if one.resource == "practitioner"]
    assert (after.run_id, after.loaded_at) == ("manual__1", loaded)


def test_a_replay_that_was_killed_and_cleared_has_the_same_result(pull: Pulling, mappings: Path) -> None:
    original = remove_female_code(mappings)
    rejected = pull("patient")["patient"]["rejected"]
    (mappings / "crosswalks" / "gender.csv").write_text(original)
    run = pull.replay("manual__1", None)
    collected = replay.collect(run, "patient")
    assert collected is not None
    checked = steps.check(steps.map(collected))
    first = steps.load(checked)

    assert steps.load(checked) == first == counts(rejected, inserted=rejected), "the load's task ran twice"
    assert replay.collect(run, "patient") is None, "the whole group is cleared: nothing is left to do"
    [row] = replay.summary(run)
    assert (row["resource"], row["inserted"], row["state"]) == ("patient", rejected, "loaded")


def test_a_replay_does_not_overwrite_a_newer_version(pull: Pulling, sandbox: RunningSandbox) -> None:
    ecw_id = remove_family_name(sandbox, 7)
    pull("practitioner")
    stale = pull.rows("SELECT * FROM ecw_reject")
    record = next(record for record in sandbox.records("Practitioner") if record["id"] == ecw_id)
    sandbox.put({**record, "name": [{"use": "usual", "family": "Newer", "given": ["Ann"]}]})
    pull("practitioner")
    assert pull.rows(OPEN) == []
    with pull.crm.begin() as connection:  # as if the newer version had been loaded during the replay
        connection.exec_driver_sql("UPDATE ecw_reject SET state = 'open'")

    assert run_replay(pull) == {"practitioner": counts(1, rejected=1)}
    assert pull.rows(f"SELECT last_name FROM practitioner WHERE ecw_id = '{ecw_id}'") == [{"last_name": "Newer"}]  # noqa: S608
    assert len(stale) == len(pull.rows("SELECT * FROM ecw_reject"))


def test_a_record_with_several_rejects_is_replayed_once_in_its_newest_version(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    ecw_id = remove_family_name(sandbox, 7)
    pull("practitioner")
    remove_family_name(sandbox, 7)  # a newer version
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
    collected = replay.collect(run, "practitioner")

    assert collected is not None
    assert collected["count"] == 1
    assert list(batch_file.read(collected["path"])) == [newest]


@pytest.mark.parametrize(
    "chosen",
    [{"resources": ["practitioner"]}, {"rule": "required"}, {"ids": ["{id}"]}, {"run": "{run}"}, {}],
    ids=["resource", "rule", "id", "run", "all"],
)
def test_rejects_are_selected_by_resource_rule_id_and_run(
    pull: Pulling, sandbox: RunningSandbox, chosen: dict[str, object]
) -> None:
    first = remove_family_name(sandbox, 7)
    pull("practitioner")
    second = remove_family_name(sandbox, 9)
    pull("practitioner")
    with pull.crm.begin() as connection:  # as if the second pull had not fetched the first record
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
    collected = replay.collect(run, "practitioner")

    assert collected is not None
    assert {record["id"] for record in batch_file.read(collected["path"])} == ({first, second} if both else {first})


def test_a_selection_without_rejects_is_refused_with_the_possible_values(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    remove_family_name(sandbox, 7)
    pull("practitioner")
    [rule] = {row["rule"] for row in pull.rows(OPEN)}
    for chosen, message in (
        ({"rule": "requird"}, f"'requird'.*use one of: {rule}"),
        ({"run": "manual__never"}, "'manual__never'.*use one of: scheduled__2026-11-22T01"),
        ({"ids": ["nobody"]}, "None of the 1 ids"),
        ({"resources": ["practitoner"]}, "did you mean 'practitioner'"),
        ({"colour": "red"}, "sent a field that the form of a replay does not have"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            pull.replay("manual__1", chosen)
    assert pull.rows("SELECT * FROM ecw_run WHERE run_id = 'manual__1'") == []


@pytest.mark.parametrize("defect", ["purged", "damaged"])
def test_records_that_are_no_longer_staged_are_reported_and_the_others_replayed(
    pull: Pulling, sandbox: RunningSandbox, defect: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost = remove_family_name(sandbox, 7)
    pull("practitioner")
    staged = remove_family_name(sandbox, 9)
    with pull.crm.begin() as connection:
        connection.exec_driver_sql("UPDATE ecw_reject SET batch = NULL")  # a reject of the load has no batch
    run = pull.begin()
    batch = pull.batches["practitioner"][0]["path"]
    extracted = steps.extract(run, "practitioner")
    only = [record for record in batch_file.read(extracted["path"]) if record["id"] != lost]
    with batch_file.writer(extracted["path"]) as written:
        for record in only:
            written.write(record)
    steps.load(steps.check(steps.map({**extracted, "count": len(only), "fetched": len(only)})))
    if defect == "purged":
        filesystem.remove(batch.rpartition("/")[0].rpartition("/")[0])
    else:
        Path(batch).write_bytes(Path(batch).read_bytes()[:-20])

    with caplog.at_level(logging.WARNING):
        assert run_replay(pull) == {"practitioner": counts(1, rejected=1)}
    assert (
        f"1 records are no longer in the staging area (1 staged batches are absent or damaged): {lost}." in caplog.text
    )
    assert "pull them by these ids" in caplog.text
    assert {row["ecw_id"] for row in pull.rows(OPEN)} == {lost, staged}


def test_deleted_records_and_rejects_of_a_push_are_reported_and_not_replayed(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    remove_family_name(sandbox, 7)
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
        assert run_replay(pull) == {"practitioner": counts(1, rejected=1)}
    assert "1 records are no longer in eCW and cannot be replayed: g-1." in caplog.text
    assert "1 rejects are of a push and cannot be replayed: crm:17." in caplog.text
    assert len(pull.rows(OPEN)) == 3


def test_a_replay_loads_deferred_rows_once_their_reference_is_loaded(pull: Pulling) -> None:
    waiting = pull("practitioner", "encounter")["encounter"]["rejected"]
    assert waiting > 0
    assert run_replay(pull, "manual__1") == {"encounter": counts(0)}
    pull("patient")
    assert run_replay(pull, "manual__2") == {"encounter": counts(waiting, inserted=waiting)}
    assert pull.rows(OPEN) == []


def test_a_record_with_an_invalid_id_is_replayed_by_its_content(pull: Pulling, sandbox: RunningSandbox) -> None:
    run = pull.begin()
    extracted = steps.extract(run, "location")
    records = list(batch_file.read(extracted["path"]))
    with batch_file.writer(extracted["path"]) as written:
        for record in [*records[:-1], {**records[-1], "id": "not an id!"}]:
            written.write(record)
    assert steps.load(steps.check(steps.map(extracted)))["rejected"] == 1
    assert run_replay(pull) == {"location": counts(1, rejected=1)}


def test_the_max_failed_ratio_of_a_suite_does_not_stop_a_replay(pull: Pulling, mappings: Path) -> None:
    suite = mappings.parent / "quality" / "practitioner.yaml"
    unchanged_suite = suite.read_text()
    rule = (
        "  - type: expect_column_values_to_be_in_set\n    kwargs: {column: active, value_set: [true]}\n"
        "    meta: {on_fail: reject, max_failed_ratio: 0.5}\n"
    )
    suite.write_text(re.sub(r"small_batch: \d+", "small_batch: 1", unchanged_suite) + rule)
    rejected = pull("practitioner")["practitioner"]["rejected"]
    assert 1 < rejected < 15, "below max_failed_ratio in a pull"

    assert run_replay(pull) == {"practitioner": counts(rejected, rejected=rejected)}, (
        "max_failed_ratio is ignored in a replay"
    )
    suite.write_text(unchanged_suite)
    assert run_replay(pull, "manual__2") == {"practitioner": counts(rejected, inserted=rejected)}


def test_the_command_replays_and_reports_that_no_reject_is_left(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = remove_female_code(mappings)
    rejected = pull("patient")["patient"]["rejected"]
    (mappings / "crosswalks" / "gender.csv").write_text(original)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", pull.staging)
    command = ["replay", "--rule", "unmapped code", "--conn-id", "ecw_test", "--crm-conn-id", "crm_test"]

    shown = CliRunner().invoke(group, command, catch_exceptions=False).output
    assert f"patient   {rejected}" in shown
    assert pull.rows(OPEN) == []
    del command[1:3]
    shown = CliRunner().invoke(group, command, catch_exceptions=False).output
    assert "No open reject matches the options." in shown

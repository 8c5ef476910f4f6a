"""Exports of servers that are not eCW: other addresses, manifests and faults, and `_since`."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import pytest

from ecw.errors import EcwError, InvalidResponse, ServerUnavailable
from ecw.fhir.retry import RetryPolicy
from ecw.models import Batch, Run
from ecw.pull import steps
from ecw.staging import batch_file
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = [on_sqlite, pytest.mark.large_practice]


@pytest.fixture
def plain(sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> RunningSandbox:
    """Return a sandbox whose exports are ready at once; clients hardly wait between attempts."""
    monkeypatch.setattr("ecw.hooks.ecw.RetryPolicy", partial(RetryPolicy, attempts=2, seconds=0.0, longest_wait=0.01))
    sandbox.set(export_seconds=0)
    return sandbox


def begin(pull: Pulling, sandbox: RunningSandbox, *resources: str, **more: Any) -> Run:
    group = sandbox.records("Group")[0]["name"]
    names = list(resources or ("practitioner",))
    options = {"strategies": dict.fromkeys(names, "bulk"), "bulk_group": group, "resources": names} | more
    return pull.begin(options=options)


def allow(monkeypatch: pytest.MonkeyPatch, urls: str) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_ECW_TEST"])
    connection["extra"]["file_urls"] = urls
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(connection))


def ids(batch: Batch) -> set[str]:
    return {record["id"] for record in batch_file.read(batch["path"])}


def all_ids(sandbox: RunningSandbox, kind: str = "Practitioner") -> set[str]:
    return {record["id"] for record in sandbox.records(kind)}


def origin(url: str) -> str:
    return url.split("/", 3)[0] + "//" + url.split("/", 3)[2]


# -- an export that cannot be downloaded is not resumed


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "gone", "interaction": "export-file"},  # its files have been deleted
        {"kind": "expire_export", "interaction": "export-status"},
        {"kind": "next_elsewhere"},  # see below: the files have a URL that is not allowed
    ],
    ids=lambda fault: fault["kind"],
)
def test_the_retry_starts_a_new_export_if_the_last_one_cannot_be_downloaded(
    pull: Pulling, plain: RunningSandbox, fault: dict[str, Any]
) -> None:
    run = begin(pull, plain)
    if fault["kind"] == "next_elsewhere":
        plain.set(export_seconds=1e6)
        assert isinstance(steps.extract_or_wait(run, "practitioner"), float)
        plain.set(export_seconds=0, export_origin="http://files.example/bulk")
    else:
        plain.fault(**fault, times=1)
    with pytest.raises(EcwError):
        steps.extract(run, "practitioner")
    plain.set(export_origin="")

    assert ids(steps.extract(run, "practitioner")) == all_ids(plain)
    assert plain.served("export", status=202) == 2


def test_an_export_that_fails_on_the_server_is_polled_a_few_times_and_then_started_again(
    pull: Pulling, plain: RunningSandbox
) -> None:
    """Bulk Data 2: the status of a failed export stays an error."""
    run = begin(pull, plain)
    plain.fault("server_error", interaction="export-status")
    for _ in range(3):
        with pytest.raises(ServerUnavailable):
            steps.extract(run, "practitioner")
    assert plain.served("export", status=202) == 1
    plain.clear_faults()

    assert ids(steps.extract(run, "practitioner")) == all_ids(plain)
    assert plain.served("export", status=202) == 2


def test_an_export_is_resumed_after_one_failed_download(pull: Pulling, plain: RunningSandbox) -> None:
    run = begin(pull, plain)
    plain.fault("drop", interaction="export-file", nth=1)
    with pytest.raises(ServerUnavailable):
        steps.extract(run, "practitioner")

    assert ids(steps.extract(run, "practitioner")) == all_ids(plain)
    assert plain.served("export", status=202) == 1


@pytest.mark.parametrize("answer", [405, 501, 500, 404])
def test_a_download_succeeds_even_if_the_server_refuses_the_deletion(
    pull: Pulling, plain: RunningSandbox, answer: int
) -> None:
    plain.set(export_delete=answer)

    assert ids(steps.extract(begin(pull, plain), "practitioner")) == all_ids(plain)


# -- the URLs of the files


def test_files_at_a_url_that_is_not_allowed_are_refused_and_the_export_is_cancelled(
    pull: Pulling, plain: RunningSandbox
) -> None:
    run = begin(pull, plain)
    plain.set(export_seconds=1e6)
    assert isinstance(steps.extract_or_wait(run, "practitioner"), float)
    plain.set(export_seconds=0, export_origin=f"{origin(plain.token_url)}/bulk")

    with pytest.raises(InvalidResponse, match="file_urls"):
        steps.extract(run, "practitioner")

    assert plain.served("export-cancel") == 1
    assert plain.served("export-file") == 0


@pytest.mark.parametrize("where", ["another host", "another path", "among several"])
def test_files_at_a_url_that_the_connection_allows_are_downloaded(
    pull: Pulling, plain: RunningSandbox, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    place = f"{origin(plain.base_url if where == 'another path' else plain.token_url)}/bulk"
    plain.set(export_origin=place)
    allow(monkeypatch, f"https://files.example.org/a {place}" if where == "among several" else place)

    assert ids(steps.extract(begin(pull, plain), "practitioner")) == all_ids(plain)
    assert plain.served("export-cancel") == 1


def test_an_allowed_url_is_allowed_for_export_files_only(
    pull: Pulling, plain: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, origin(plain.token_url))
    plain.fault("next_elsewhere", resource="Patient")

    with pytest.raises(InvalidResponse, match="links to a URL on the same host"):
        pull("practitioner", "location", "patient")
    assert plain.counts()["elsewhere"] == 0


@pytest.mark.parametrize("pages", [1, 2, 5])
def test_every_page_of_a_manifest_is_read(pull: Pulling, plain: RunningSandbox, pages: int) -> None:
    plain.set(export_pages=pages, export_lines=4)

    assert ids(steps.extract(begin(pull, plain), "practitioner")) == all_ids(plain)


def test_the_calls_of_all_attempts_are_counted(pull: Pulling, plain: RunningSandbox) -> None:
    run = begin(pull, plain)
    plain.set(export_seconds=1e6)
    before = plain.counts()["total"]
    for _ in range(3):
        assert isinstance(steps.extract_or_wait(run, "practitioner"), float)
    plain.set(export_seconds=0)
    plain.fault("drop", interaction="export-file", nth=1)
    with pytest.raises(ServerUnavailable):
        steps.extract(run, "practitioner")

    batch = steps.extract(run, "practitioner")

    assert batch["calls"] == plain.counts()["total"] - before


# -- changed and deleted records


def test_records_that_a_full_export_lacks_are_read_and_marked_deleted(pull: Pulling, plain: RunningSandbox) -> None:
    for name in ("practitioner", "location"):
        pull.resource(begin(pull, plain, name), name)
    deleted = [record["id"] for record in plain.records("Location")[:2]]
    for ecw_id in deleted:
        plain.delete("Location", ecw_id)

    pull.resource(begin(pull, plain, "location", full=True), "location")

    assert {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM ecw_link WHERE status = 'deleted'")} == set(deleted)


def age(sandbox: RunningSandbox, newer: int) -> list[str]:
    """Give all practitioners an old version and `newer` of them one some days later; return the ids of those."""
    records = sandbox.records("Practitioner")
    for number, record in enumerate(records):
        changed = "2026-11-10T08:00:00.250Z" if number < newer else "2026-11-01T08:00:00Z"
        sandbox.put(record | {"meta": {**record.get("meta", {}), "lastUpdated": changed}}, stamp=False)
    return [record["id"] for record in records[:newer]]


def test_only_changes_are_exported_once_an_export_has_proven_that_the_server_respects_since(
    pull: Pulling, plain: RunningSandbox
) -> None:
    newer = age(plain, 5)
    pull.resource(begin(pull, plain), "practitioner")
    changed = plain.put(plain.records("Practitioner")[9] | {"active": False})

    proof = steps.extract(begin(pull, plain), "practitioner")
    assert ids(proof) == {changed["id"], *newer}, "changes since a time between the CRM's records"
    assert proof.get("full_scan") is False
    assert steps.load(steps.check(steps.map(proof)))["updated"] == 1

    assert ids(steps.extract(begin(pull, plain), "practitioner")) == {changed["id"]}


def test_a_server_that_omits_changes_with_since_gets_full_exports(
    pull: Pulling, plain: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export lacks records that the CRM knows to have changed after that time."""
    newer = age(plain, 5)
    pull.resource(begin(pull, plain), "practitioner")
    for ecw_id in newer[:2]:  # as if the server had not noticed
        record = plain.record("Practitioner", ecw_id)
        plain.put(record | {"meta": {**record["meta"], "lastUpdated": "2026-11-01T08:00:00Z"}}, stamp=False)

    run = begin(pull, plain)
    with pytest.raises(ServerUnavailable, match="lacks 2 records that have changed"):
        steps.extract(run, "practitioner")

    batch = steps.extract(run, "practitioner")
    assert (ids(batch), batch.get("full_scan")) == (all_ids(plain), True)


def test_without_a_time_between_the_records_the_export_is_full(pull: Pulling, plain: RunningSandbox) -> None:
    age(plain, 0)
    pull.resource(begin(pull, plain), "practitioner")

    assert steps.extract(begin(pull, plain), "practitioner").get("full_scan") is True


def test_since_is_tried_once_on_a_server_that_ignores_it(
    pull: Pulling, plain: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    plain.set(export_since=False)
    age(plain, 5)
    pull.resource(begin(pull, plain), "practitioner")

    assert ids(steps.extract(begin(pull, plain), "practitioner")) == all_ids(plain)
    assert "ignores _since" in caplog.text
    caplog.clear()
    batch = steps.extract(begin(pull, plain), "practitioner")
    assert batch.get("full_scan") is True
    assert "_since" not in caplog.text


def test_a_full_export_is_made_within_each_full_cycle(pull: Pulling, plain: RunningSandbox) -> None:
    """An export with `_since` does not show records that were deleted or added to the group."""
    age(plain, 5)
    full_scans = []
    for _ in range(5):
        run = begin(pull, plain, full_cycle_hours=2)
        batch = steps.extract(run, "practitioner")
        full_scans.append(batch.get("full_scan"))
        steps.load(steps.check(steps.map(batch)))

    assert full_scans == [True, False, True, False, True]

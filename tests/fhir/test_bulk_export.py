"""Bulk export: kick-off, poll, files, cancel, and every way in which an answer can be wrong."""

import orjson
import pytest

from ecw.errors import BadRequest, ExportExpired, ExportRunning, InvalidResponse, RecordNotFound, ServerUnavailable
from ecw.fhir import bulk_export

TYPES = ["Patient", "Practitioner"]


@pytest.fixture
def exporting(sandbox, connect):
    """Return a client of a sandbox whose exports are ready at once."""
    sandbox.set(export_seconds=0.0, export_lines=50)
    return connect(sandbox)


def started(client, types=TYPES, **more) -> str:
    return bulk_export.kick_off(client, bulk_export.groups(client)[0].export_id, types, lambda handle: None, **more)


def test_a_group_has_the_id_that_exports_use(sandbox, exporting):
    (group, *_) = bulk_export.groups(exporting)
    (record, *_) = sandbox.records("Group")
    assert group.export_id == record["identifier"][0]["value"] != record["id"]
    assert group.name == record["name"]


def test_an_export_returns_every_record(sandbox, exporting):
    done = bulk_export.poll(exporting, started(exporting))
    assert isinstance(done, bulk_export.Manifest)
    assert done.transaction_time
    ids = {kind: [] for kind in TYPES}
    for file in done.files:
        ids[file.fhir_type] += [resource["id"] for resource in bulk_export.lines(exporting, file)]
    assert len(done.files) == 4  # 120 patients by 50, 30 practitioners
    for kind in TYPES:
        assert sorted(ids[kind]) == sorted(record["id"] for record in sandbox.records(kind))
    bulk_export.refuse_errors(exporting, done)


def test_the_status_url_is_handed_over_before_the_first_poll(sandbox, exporting):
    saved: list[tuple[str, int]] = []
    handle = bulk_export.kick_off(
        exporting,
        bulk_export.groups(exporting)[0].export_id,
        TYPES,
        lambda url: saved.append((url, sandbox.served("export-status"))),
    )
    assert saved == [(handle, 0)]
    assert handle.startswith(sandbox.base_url)


def test_another_client_can_poll_a_saved_status_url(sandbox, exporting, connect):
    handle = started(exporting)
    assert isinstance(bulk_export.poll(connect(sandbox), handle), bulk_export.Manifest)


def test_a_running_export_reports_its_progress_and_a_second_one_is_refused(sandbox, exporting):
    sandbox.set(export_seconds=1000.0)
    handle = started(exporting)
    underway = bulk_export.poll(exporting, handle)
    assert isinstance(underway, bulk_export.Underway)
    assert underway.progress == "0%"
    assert underway.seconds == 120
    with pytest.raises(ExportRunning, match="one at a time"):
        started(exporting)
    bulk_export.cancel(exporting, handle)
    assert started(exporting) != handle


def test_an_export_that_was_cancelled_is_expired(sandbox, exporting):
    handle = started(exporting)
    done = bulk_export.poll(exporting, handle)
    bulk_export.cancel(exporting, handle)
    bulk_export.cancel(exporting, handle)
    with pytest.raises(ExportExpired, match="no longer knows this export"):
        bulk_export.poll(exporting, handle)
    with pytest.raises(ExportExpired):
        list(bulk_export.lines(exporting, done.files[0]))


def test_the_token_is_renewed_between_files(sandbox, exporting):
    done = bulk_export.poll(exporting, started(exporting))
    sandbox.fault("revoke_token", interaction="export-file", every=2)
    count = sum(1 for file in done.files for _ in bulk_export.lines(exporting, file))
    assert count == 150
    assert sandbox.served("export-file", status=401) >= 2


def test_a_bulk_token_is_not_used_for_single_patients(sandbox, exporting):
    started(exporting)
    assert list(exporting.search("Location"))
    assert sandbox.served("search", "Location", 403) == 0


def test_since_reaches_the_server(sandbox, exporting):
    assert bulk_export.poll(exporting, started(exporting, since="2099-01-01T00:00:00Z")).files == ()


@pytest.mark.parametrize(
    ("fault", "message"),
    [("drop", "in the middle of the answer"), ("truncate", "cut off or damaged"), ("lose_response", "dropped")],
)
def test_a_file_that_breaks_off_is_server_unavailable(sandbox, exporting, fault, message):
    done = bulk_export.poll(exporting, started(exporting))
    sandbox.fault(fault, interaction="export-file")
    with pytest.raises(ServerUnavailable, match=message):
        list(bulk_export.lines(exporting, done.files[0]))


def test_a_file_with_fewer_lines_than_its_manifest_says_is_an_error(sandbox, exporting):
    file = bulk_export.poll(exporting, started(exporting)).files[0]
    declared = bulk_export.File(file.fhir_type, file.url, 51)
    with pytest.raises(InvalidResponse, match="has 50 lines, and its manifest says 51"):
        list(bulk_export.lines(exporting, declared))


def test_an_error_file_with_errors_fails_the_export_and_one_with_remarks_does_not(wire, respond, sandbox, connect):
    issue = b'{"resourceType": "OperationOutcome", "issue": [{"severity": "%s", "code": "exception"}]}\n'
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
    manifest = bulk_export.Manifest(
        "2026-11-22T00:00:00Z", (), (bulk_export.File("OperationOutcome", f"{client.base_url}/e", None),)
    )
    wire.answer = lambda request: respond(request, 200, issue % b"information")
    bulk_export.refuse_errors(client, manifest)
    wire.answer = lambda request: respond(request, 200, issue % b"error")
    with pytest.raises(InvalidResponse, match=r"1 errors \(exception\)"):
        bulk_export.refuse_errors(client, manifest)


def test_an_unknown_group_is_refused(exporting):
    with pytest.raises(RecordNotFound):
        bulk_export.kick_off(exporting, "no-such-group", TYPES, lambda handle: None)


def test_an_unknown_type_is_refused(exporting):
    with pytest.raises(BadRequest, match="HTTP 400"):
        started(exporting, types=["Patience"])


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((202, b"", {}), ServerUnavailable, "sent no poll URL"),
        ((202, b"", {"Content_Location": "https://elsewhere.example/job/1"}), InvalidResponse, "outside"),
        ((500, b"<html>", {}), ServerUnavailable, "HTTP 500"),
    ],
)
def test_a_kick_off_without_a_usable_status_url_is_an_error(wire, respond, sandbox, connect, answer, error, message):
    status, body, headers = answer
    wire.answer = lambda request: respond(request, status, body, **headers)
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
    saved: list[str] = []
    with pytest.raises(error, match=message):
        bulk_export.kick_off(client, "g", TYPES, saved.append)
    assert saved == []


@pytest.mark.parametrize(
    ("header", "progress"),
    [("12% complete", "12%"), ("Jane Doe, 3 of 10", "3 of 10"), ("Jane Doe", None), ("", None), ("7.5 %", "7.5 %")],
)
def test_only_numbers_of_the_progress_header_are_reported(wire, respond, sandbox, connect, header, progress):
    wire.answer = lambda request: respond(request, 202, b"", X_Progress=header)
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
    underway = bulk_export.poll(client, f"{wire.url}/fhir/r4/X/job/1")
    assert isinstance(underway, bulk_export.Underway)
    assert underway.progress == progress


def test_no_free_text_of_an_exports_errors_and_files_is_quoted(wire, respond, sandbox, connect):
    issue = {"severity": "error", "code": "Doe", "diagnostics": "Jane Doe", "details": {"text": "Jane Doe"}}
    lines = [{"issue": [issue]}, {"issue": [issue | {"code": "incomplete"}]}]
    wire.answer = lambda request: respond(request, 200, b"\n".join(map(orjson.dumps, lines)))
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
    file = bulk_export.File("Jane Doe", f"{wire.url}/fhir/r4/X/file/1", 3)

    with pytest.raises(InvalidResponse, match=r"export's unknown file has 2 lines") as wrong_count:
        list(bulk_export.lines(client, file))
    manifest = bulk_export.Manifest("", (), (bulk_export.File("OperationOutcome", file.url, None),))
    with pytest.raises(InvalidResponse, match=r"2 errors \(incomplete\)") as reported:
        bulk_export.refuse_errors(client, manifest)
    assert "Doe" not in f"{wrong_count.value}{reported.value}"


@pytest.mark.parametrize("body", [b"{}", b'{"output": []}', b'{"output": {}, "transactionTime": "x"}'])
def test_an_answer_that_is_not_a_manifest_is_server_unavailable(wire, respond, sandbox, connect, body):
    wire.answer = lambda request: respond(request, 200, body)
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
    with pytest.raises(ServerUnavailable, match="manifest is incomplete"):
        bulk_export.poll(client, f"{wire.url}/fhir/r4/X/job/1")

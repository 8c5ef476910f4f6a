"""Bulk export in the sandbox."""

from __future__ import annotations

import json
from html import unescape

import pytest
import requests

from tests.sandbox.calling import BULK, READ, Caller

RESPOND_ASYNC = {"Prefer": "respond-async"}


class Bulk:
    """Calls of an export with one bulk token."""

    def __init__(self, caller: Caller, scope: str = BULK) -> None:
        self.caller, self.token = caller, caller.token(scope)
        self.groups = [entry["resource"] for entry in caller.get("Group", self.token).json()["entry"]]

    def kick_off(self, group: str | None = None, **params: str) -> requests.Response:
        name = group or self.groups[0]["identifier"][0]["value"]
        return self.caller.get(f"Group/{name}/$export", self.token, params=params, headers=RESPOND_ASYNC)

    def files(self, **params: str) -> dict[str, list[dict]]:
        """Export without a delay; return the resources of the files by type."""
        self.caller.sandbox.set(export_seconds=0)
        manifest = self.caller.get(self.kick_off(**params).headers["Content-Location"], self.token).json()
        by_type: dict[str, list[dict]] = {}
        for each in manifest["output"]:
            answer = self.caller.get(unescape(each["url"]), self.token)
            assert answer.status_code == 200, answer.text
            assert answer.headers["Content-Type"] == "application/fhir+ndjson"
            by_type.setdefault(each["type"], []).extend(map(json.loads, answer.text.splitlines()))
        return by_type


@pytest.fixture
def bulk(caller) -> Bulk:
    return Bulk(caller)


def test_an_export_reports_its_progress_and_ends_with_a_manifest(bulk, caller):
    caller.sandbox.set(export_seconds=1e6)
    started = bulk.kick_off()
    assert started.status_code == 202
    assert started.headers["Retry-After"] == "120"
    poll = started.headers["Content-Location"]
    progress = caller.get(poll, bulk.token)
    assert progress.status_code == 202
    assert "%" in progress.headers["X-Progress"]
    caller.sandbox.set(export_seconds=0)
    done = caller.get(poll, bulk.token)
    assert done.status_code == 200
    manifest = done.json()
    assert set(manifest) == {"transactionTime", "request", "requiresAccessToken", "output", "error"}
    assert manifest["requiresAccessToken"] is True
    assert manifest["error"] == []
    assert {each["type"] for each in manifest["output"]} == {"Patient", "Practitioner", "Location"}
    assert all(set(each) == {"type", "url"} for each in manifest["output"])


def test_a_group_is_exported_by_its_first_identifier(bulk):
    assert len(bulk.groups) == 2
    assert bulk.kick_off(bulk.groups[0]["id"]).status_code == 404
    assert bulk.kick_off(bulk.groups[0]["identifier"][0]["value"]).status_code == 202


def test_a_second_kick_off_during_an_export_is_answered_200_duplicate(bulk, caller):
    caller.sandbox.set(export_seconds=1e6)
    first = bulk.kick_off()
    again = bulk.kick_off()
    assert again.status_code == 200
    assert again.json()["issue"][0]["code"] == "duplicate"
    assert "Content-Location" not in again.headers
    caller.sandbox.set(export_seconds=0)
    assert bulk.kick_off().status_code == 202, "the first export has ended"
    assert caller.get(first.headers["Content-Location"], bulk.token).status_code == 200


def test_the_files_hold_every_record(bulk, caller):
    files = bulk.files()
    assert {kind: len(lines) for kind, lines in files.items()} == {"Patient": 120, "Practitioner": 30, "Location": 12}
    for kind, lines in files.items():
        assert lines == caller.sandbox.records(kind)


def test_type_and_since_restrict_an_export(bulk, caller):
    changed = caller.sandbox.put(caller.sandbox.records("Patient")[7])
    assert bulk.files(_type="Patient", _since="2026-11-20T00:00:00Z") == {"Patient": [changed]}
    caller.sandbox.set(export_since=False)
    assert len(bulk.files(_type="Patient", _since="2026-11-20T00:00:00Z")["Patient"]) == 120


def test_the_second_group_has_a_third_of_the_patients_and_all_practitioners(caller):
    bulk = Bulk(caller, f"{BULK} system/Encounter.read system/Coverage.r")
    files = bulk.files(group=bulk.groups[1]["identifier"][0]["value"])
    patients = {f"Patient/{each['id']}" for each in files["Patient"]}
    assert len(patients) == 40
    assert len(files["Practitioner"]) == 30
    assert {each["subject"]["reference"] for each in files["Encounter"]} <= patients
    assert {each["beneficiary"]["reference"] for each in files["Coverage"]} <= patients


def test_a_large_type_is_exported_in_several_files(bulk, caller):
    caller.sandbox.set(export_lines=50, export_seconds=0)
    manifest = caller.get(bulk.kick_off(_type="Patient").headers["Content-Location"], bulk.token).json()
    assert len(manifest["output"]) == 3
    assert len(bulk.files(_type="Patient")["Patient"]) == 120


def test_urls_in_the_manifest_contain_amp_and_work_only_unescaped(bulk, caller):
    caller.sandbox.set(export_seconds=0)
    manifest = caller.get(bulk.kick_off().headers["Content-Location"], bulk.token).json()
    url = manifest["output"][0]["url"]
    assert "&amp;" in url
    assert caller.get(url, bulk.token).status_code == 404


def test_files_need_a_bulk_token_that_may_read_the_type(bulk, caller):
    caller.sandbox.set(export_seconds=0)
    manifest = caller.get(bulk.kick_off(_type="Patient").headers["Content-Location"], bulk.token).json()
    url = unescape(manifest["output"][0]["url"])
    assert requests.get(url, timeout=600).status_code == 401
    assert caller.get(url, caller.token("system/Group.read system/Location.read")).status_code == 403
    assert caller.get(url, bulk.token).status_code == 200


def test_a_cancelled_export_is_answered_404(bulk, caller):
    poll = bulk.kick_off().headers["Content-Location"]
    headers = {"Authorization": f"Bearer {bulk.token}"}
    assert requests.delete(poll, headers=headers, timeout=600).status_code == 202
    assert caller.get(poll, bulk.token).status_code == 404
    assert bulk.kick_off().status_code == 202, "another export may start"


def test_a_kick_off_with_a_wrong_group_parameter_scope_or_header_is_refused(bulk, caller):
    assert bulk.kick_off("nothing").status_code == 404
    assert bulk.kick_off(_type="Rocket").status_code == 400
    assert bulk.kick_off(_since="yesterday").status_code == 400
    assert bulk.kick_off(_outputFormat="ndjson").status_code == 400
    assert bulk.kick_off(_type="Encounter").status_code == 403, "not in the token's scopes"
    name = bulk.groups[0]["identifier"][0]["value"]
    assert caller.get(f"Group/{name}/$export", bulk.token).status_code == 400, "Prefer is missing"
    assert caller.get(f"Group/{name}/$export", caller.token(READ), headers=RESPOND_ASYNC).status_code == 403
    assert caller.get("$export-status/unknown", bulk.token).status_code == 404


def test_types_that_are_not_exported_are_not_in_the_manifest(caller):
    caller.sandbox.set(export_types="Patient,Practitioner")
    bulk = Bulk(caller, f"{BULK} system/Coverage.r")
    assert set(bulk.files(_type="Patient,Coverage")) == {"Patient"}

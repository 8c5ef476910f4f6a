"""Every form of eCW's answer to a push, and the outcome that it means."""

from __future__ import annotations

from typing import Any

import pytest

from ecw import errors
from ecw.crm.db.enums import JournalOutcome
from ecw.push.rules.outcome import CODES, Outcome, raised, understand

ID = "Lt2IFR5Ah76n4d8TFP5gBCYrEVzcfmSY9rj1Q7MpBZg"


def answer(status: Any = "1", **response: Any) -> dict[str, Any]:
    content = {"status": status, **response}
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": [{"response": content}]}


def outcome(code: str = "informational", severity: str = "information", **issue: Any) -> dict[str, Any]:
    issues = [{"severity": severity, "code": code, "diagnostics": "Kowalczyk 1980-01-02", **issue}]
    return {"resourceType": "OperationOutcome", "issue": issues}


@pytest.mark.parametrize(
    "location",
    [
        f"Patient/{ID}",
        f"Patient/{ID}/_history/1",
        f"http://host.example/fhir/r4/ABC/Patient/{ID}",
        f"https://host.example/fhir/r4/ABC/Patient/{ID}/_history/3",
    ],
)
@pytest.mark.parametrize("status", ["1", 1])
def test_a_success_names_the_patient_in_any_form(location: str, status: Any) -> None:
    assert understand(answer(status, location=location)) == Outcome(JournalOutcome.DONE, "Success", "", 200, "1", ID)


@pytest.mark.parametrize(
    "body",
    [
        answer(),
        answer(location=""),
        answer(location="Practitioner/abc"),
        answer(location=f"Patient/{ID}?x=1"),
        answer(location=None),
        answer("200 OK", location=f"Patient/{ID}"),
        answer(None, location=f"Patient/{ID}"),
        answer("999"),
        answer(True, location=f"Patient/{ID}"),
        {"resourceType": "Bundle", "type": "transaction-response"},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": []},
        {"resourceType": "Bundle", "entry": [None]},
        outcome(),
        outcome("timeout", "error"),
        {"resourceType": "Bundle", "entry": [{"resource": outcome()}]},
        {},
    ],
)
def test_an_answer_without_a_certain_result_is_unknown(body: dict[str, Any]) -> None:
    found = understand(body)
    assert found.kind is JournalOutcome.UNKNOWN
    assert found.ecw_id is None
    assert "search" in found.next_step


def test_an_update_need_not_repeat_the_id_but_must_not_name_another() -> None:
    assert understand(answer(), sent_id=ID).ecw_id == ID
    assert understand(answer(location="Patient/other"), sent_id=ID).kind is JournalOutcome.UNKNOWN


@pytest.mark.parametrize("code", sorted(set(CODES) - {"1"}))
def test_every_other_code_is_a_failure_with_a_next_step(code: str) -> None:
    found = understand(answer(code, outcome=outcome("processing", "error"), location=f"Patient/{ID}"))
    assert found.kind not in (JournalOutcome.DONE, JournalOutcome.UNKNOWN)
    assert found.next_step.endswith(".")
    assert (found.code, found.ecw_id) == (code, None)


@pytest.mark.parametrize(
    ("code", "kind"), [("201", JournalOutcome.LINK), ("202", JournalOutcome.LINK), ("103", JournalOutcome.RETRY_ONCE)]
)
def test_201_and_202_are_codes_of_ecw_and_not_http_statuses(code: str, kind: JournalOutcome) -> None:
    assert understand(answer(code)).kind is kind
    assert understand(answer(int(code))).kind is kind


@pytest.mark.parametrize("wrap", ["answer", "entry", "resource", "outcome"])
def test_a_code_inside_an_operation_outcome_is_found_wherever_the_outcome_is(wrap: str) -> None:
    refusal = outcome("processing", "error", details={"coding": [{"code": "118"}]})
    bundle: dict[str, dict[str, Any]] = {
        "answer": refusal,
        "entry": {"resourceType": "Bundle", "entry": [refusal]},
        "resource": {"resourceType": "Bundle", "entry": [{"resource": refusal}]},
        "outcome": {"resourceType": "Bundle", "entry": [{"response": {"outcome": refusal}}]},
    }
    assert understand(bundle[wrap]).code == "118"


def test_an_error_outcome_without_a_code_of_ecw_is_a_refusal() -> None:
    found = understand(outcome("invalid", "error"))
    assert (found.kind, found.message) == (JournalOutcome.FIX_DATA, "Refused with an OperationOutcome (invalid)")


def test_no_text_of_the_server_is_quoted() -> None:
    named = outcome("kowalczyk", "error", details={"text": "Kowalczyk", "coding": [{"code": "Kowalczyk"}]})
    for body in (outcome(), outcome("invalid", "error"), answer("118", outcome=outcome("x", "error")), named):
        assert "kowalczyk" not in repr(understand(body)).lower()


@pytest.mark.parametrize(
    ("status", "sent_id", "kind", "http"),
    [
        ("201 Created", None, JournalOutcome.DONE, 201),
        ("201", None, JournalOutcome.DONE, 201),
        ("200 OK", ID, JournalOutcome.DONE, 200),
        ("200 OK", None, JournalOutcome.LINK, 200),
        ("412 Precondition Failed", None, JournalOutcome.LINK, 412),
        ("422", None, JournalOutcome.FIX_DATA, 422),
        ("404 Not Found", ID, JournalOutcome.FIX_DATA, 404),
        ("404 Not Found", None, JournalOutcome.ADMINISTRATOR, 404),
        ("403 Forbidden", None, JournalOutcome.ADMINISTRATOR, 403),
    ],
)
def test_the_statuses_of_a_plain_fhir_server_are_http_statuses(
    status: str, sent_id: str | None, kind: JournalOutcome, http: int
) -> None:
    found = understand(answer(status, location=f"Patient/{ID}"), plain=True, sent_id=sent_id)
    assert (found.kind, found.http, found.code) == (kind, http, None)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "202 Accepted", "408"])
def test_a_server_error_of_a_plain_fhir_server_is_unknown(status: str) -> None:
    assert understand(answer(status), plain=True).kind is JournalOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("error", "kind", "http"),
    [
        (errors.OutcomeUnknown("POST x: HTTP 500.", next_step="search."), JournalOutcome.UNKNOWN, 500),
        (errors.ConnectionFailed("POST x: no connection.", next_step="try again."), JournalOutcome.LATER, None),
        (errors.RateLimited("POST x (HTTP 429).", next_step="wait."), JournalOutcome.LATER, 429),
        (
            errors.BadRequest("POST x: refused (HTTP 412, multiple-matches)", next_step="look."),
            JournalOutcome.LINK,
            412,
        ),
        (errors.BadRequest("POST x: refused (HTTP 422)", next_step="look."), JournalOutcome.FIX_DATA, 422),
        (errors.RecordNotFound("POST x: not there (HTTP 404).", next_step="look."), JournalOutcome.ADMINISTRATOR, 404),
        (errors.AccessDenied("POST x: (HTTP 403).", next_step="check."), JournalOutcome.ADMINISTRATOR, 403),
        (errors.AuthenticationError("no", next_step="check."), JournalOutcome.ADMINISTRATOR, None),
    ],
)
def test_each_error_gives_its_kind_of_outcome(error: errors.EcwError, kind: JournalOutcome, http: int | None) -> None:
    found = raised(error)
    assert (found.kind, found.http) == (kind, http)


def test_a_patient_that_is_missing_when_it_is_read_is_a_data_error() -> None:
    found = raised(errors.RecordNotFound("GET x: not there (HTTP 410).", next_step="look."), read=True)
    assert (found.kind, found.http) == (JournalOutcome.FIX_DATA, 410)
    assert "linked eCW id" in found.next_step


@pytest.mark.parametrize("shape", ["outcome", "empty", "entry_outcome", "no_location", "absolute", "history"])
def test_each_shape_of_the_sandboxs_answers_is_understood(
    sandbox: Any, connect: Any, patient: dict[str, Any], shape: str
) -> None:
    from ecw.push.rules.bundle import create

    sandbox.fault("write_answer", value=shape)
    found = understand(connect(sandbox).transact(create(patient)))
    assert found.kind is (JournalOutcome.DONE if shape in ("absolute", "history") else JournalOutcome.UNKNOWN)
    if found.ecw_id:
        assert found.ecw_id in {record["id"] for record in sandbox.records("Patient")}

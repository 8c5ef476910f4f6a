"""From an HTTP response to an error of the project, without the server's text."""

import orjson
import pytest
from requests import Session

from ecw.errors import AccessDenied, BadRequest, InvalidResponse, RateLimited, RecordNotFound, ServerUnavailable
from ecw.fhir.responses import codes_of, error_of, json_of, outcome_error
from ecw.fhir.transport import Transport

VALUES = {"family": "Kowalczyk", "birthdate": "1980-01-02", "phone": "(555) 010-2345"}


def outcome(code: str, diagnostics: str = "") -> bytes:
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]})


@pytest.fixture
def answered(wire, respond):
    """Return a function that sends a patient search and returns an answer with this status and body."""

    def send(status: int, body: bytes = b"", method: str = "GET", **request):
        wire.answer = lambda received: respond(received, status, body)
        return Transport(Session()).send(method, f"{wire.url}/Patient", **({"params": VALUES} | request))

    return send


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequest),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, RecordNotFound),
        (408, ServerUnavailable),
        (410, RecordNotFound),
        (422, BadRequest),
        (429, RateLimited),
        (302, BadRequest),
        (500, ServerUnavailable),
        (503, ServerUnavailable),
    ],
)
def test_each_status_is_one_class_of_error_without_values(answered, status, error):
    found = error_of(answered(status, outcome("processing", "Kowalczyk is a secret")))
    assert type(found) is error
    assert f"HTTP {status}" in found.what
    assert "/Patient?family&birthdate&phone" in found.what
    assert "Kowalczyk" not in str(found)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 408, 409, 410, 412, 422, 429, 500, 503])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_text_of_the_server_is_quoted_whatever_the_status(answered, status, method):
    issue = {
        "severity": "error",
        "code": "invalid",
        "diagnostics": "Marked one",
        "details": {
            "text": "Marked two",
            "coding": [{"system": "Marked three", "code": "marked", "display": "Marked"}],
        },
        "location": ["Marked"],
        "expression": ["Marked"],
    }
    issues = [issue, issue | {"code": "marked"}, issue | {"code": "marked-too"}]
    body = {"resourceType": "OperationOutcome", "text": {"status": "x", "div": "<div>Marked</div>"}, "issue": issues}
    response = answered(status, orjson.dumps(body), method=method)

    error = outcome_error(response) if status == 200 else error_of(response)

    assert "marked" not in str(error).lower()
    assert status in (429, 408, 500, 503, 404, 410) or "invalid" in str(error)
    assert codes_of(response) == ["invalid"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"resourceType": "OperationOutcome", "issue": [7, {}]}'])
def test_an_error_without_a_usable_outcome_is_still_an_error(answered, body):
    assert type(error_of(answered(400, body))) is BadRequest


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><body>Kowalczyk</body></html>", "web page"),
        (b"\n <!DOCTYPE html>", "web page"),
        (b'{"family": "Kowalczyk', "cut off or damaged"),
        (b"", "cut off or damaged"),
        (b"[1]", "not an object"),
    ],
)
def test_an_answer_that_is_not_fhir_is_server_unavailable_and_not_quoted(answered, body, message):
    with pytest.raises(ServerUnavailable, match=message) as trouble:
        json_of(answered(200, body))
    assert "Kowalczyk" not in str(trouble.value)
    assert trouble.value.__suppress_context__ or trouble.value.__context__ is None


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("not-found", RecordNotFound),
        ("forbidden", AccessDenied),
        ("too-costly", InvalidResponse),
        ("timeout", ServerUnavailable),
        ("invalid", BadRequest),
    ],
)
def test_an_outcome_with_status_200_is_an_error_too(answered, code, error):
    assert type(outcome_error(answered(200, outcome(code)))) is error

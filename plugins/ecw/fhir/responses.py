"""Unsuccessful answers: HTTP status and OperationOutcome -> one class of the error tree.

Messages never hold the server's own text (`diagnostics`, `details.text`, HTML or anything else), because it can repeat
the request or quote the record.  They hold only FHIR's issue codes, FHIR's element names and the project's own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson
from requests import Response

from ecw.errors import (
    AccessDenied,
    BadRequest,
    EcwError,
    FatalError,
    InvalidResponse,
    RateLimited,
    RecordNotFound,
    ServerUnavailable,
)
from ecw.fhir.unreadable_records import BOM, salvaged
from ecw.fhir.urls import without_values

TOO_LATE = frozenset({404, 410})
TRANSIENT = frozenset({408, 425})
# https://hl7.org/fhir/R4/valueset-issue-type.html; any other code is treated as free text and left out
ISSUE_CODES = frozenset(
    [
        *("invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired"),
        *("forbidden", "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found"),
        *("deleted", "too-long", "code-invalid", "extension", "too-costly", "business-rule", "conflict", "transient"),
        *("lock-error", "no-store", "exception", "timeout", "incomplete", "throttled", "informational"),
    ]
)

# Elements of Patient and of its data types (https://hl7.org/fhir/R4/patient.html); other names are left out, too.
ELEMENTS = frozenset(
    [
        *("id", "meta", "profile", "tag", "security", "versionId", "lastUpdated", "implicitRules", "language"),
        *("identifier", "use", "type", "system", "value", "period", "start", "end", "assigner", "active", "name"),
        *("text", "family", "given", "prefix", "suffix", "telecom", "rank", "gender", "birthDate", "deceased"),
        *("deceasedBoolean", "deceasedDateTime", "address", "line", "city", "district", "state", "postalCode"),
        *("country", "maritalStatus", "coding", "code", "version", "display", "userSelected", "multipleBirth"),
        *("multipleBirthBoolean", "multipleBirthInteger", "photo", "contact", "relationship", "organization"),
        *("communication", "preferred", "generalPractitioner", "reference", "managingOrganization", "link", "other"),
        *("extension", "modifierExtension", "url", "contained", "valueCode", "valueCoding", "valueString"),
        *("valueReference", "valueCodeableConcept", "valueAddress", "valueDateTime", "valueBoolean"),
    ]
)
PATH_STEP = re.compile(r"(?:^|\.)([A-Za-z]+)(\[\d{1,3}\])?")


def json_of(response: Response, *, salvage: bool = False) -> dict[str, Any]:
    """Return the answer's JSON object.

    With `salvage`, unreadable records in it are replaced by stand-ins (ecw.fhir.unreadable_records).

    Raises ServerUnavailable for HTML, cut-off JSON or anything else; its message never holds the body.
    """
    where, text = _where(response), response.content.removeprefix(BOM)
    if text.lstrip()[:1] == b"<":
        raise ServerUnavailable(
            f"{where} answered with a web page (HTTP {response.status_code}) where FHIR was expected.",
            next_step="try again; if it happens again, check the base URL, and any gateway or proxy before the API.",
        )
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = salvaged(text) if salvage else None
    if body is None:
        raise ServerUnavailable(
            f"{where} answered with JSON that is cut off or damaged ({len(text)} bytes).",
            next_step="try again; if it happens again, report the address to eCW support.",
        )
    if not isinstance(body, dict):
        raise ServerUnavailable(f"{where} answered with JSON that is not an object.", next_step="try again.")
    return body


def error_of(response: Response) -> EcwError:
    """Return the error for an answer whose status is not success."""
    status, where = response.status_code, _where(response)
    codes = f" ({', '.join(found)})" if (found := codes_of(response)) else ""
    if status == 429:
        return RateLimited(
            f"{where}: the practice's calls of this minute are used up (HTTP 429).",
            next_step="wait for the next clock minute; if it happens often, look for other programs that use the "
            "same practice's quota.",
        )
    if status in {401, 403}:
        return AccessDenied(
            f"{where}: the token does not allow this (HTTP {status}{codes}).",
            next_step="check that the app registered with eCW has the scope for this resource and that the "
            "connection's scopes name it.",
        )
    if status in TOO_LATE:
        return RecordNotFound(
            f"{where}: not found (HTTP {status}{codes}).",
            next_step="check whether the record was deleted or merged in eCW.",
            who="clinic staff",
        )
    if status in TRANSIENT or status >= 500:
        return ServerUnavailable(f"{where}: HTTP {status}{codes}.", next_step="try again later.")
    if 300 <= status < 400:
        return BadRequest(
            f"{where}: a redirect (HTTP {status}), and requests with a token do not follow redirects.",
            next_step="put the address that eCW gave for this practice into the connection's base URL.",
        )
    places = f", at {', '.join(found)}" if (found := places_of(_issues(response))) else ""
    return BadRequest(
        f"{where}: refused (HTTP {status}{codes}){places}.",
        next_step="compare the parameters with the practice's /metadata; eCW accepts only exact combinations.",
    )


def outcome_error(response: Response) -> EcwError:
    """Return the error for an OperationOutcome with status 200."""
    codes = codes_of(response)
    what = f"{_where(response)}: an OperationOutcome instead of a result ({', '.join(codes) or 'no code'})"
    kinds: list[tuple[set[str], type[FatalError], str]] = [
        ({"not-found", "deleted"}, RecordNotFound, "check whether the record was deleted or merged in eCW."),
        ({"forbidden", "login", "security", "suppressed"}, AccessDenied, "check the scopes of the registered app."),
        ({"too-costly", "incomplete"}, InvalidResponse, "ask for less in one request."),
    ]
    for names, kind, move in kinds:
        if names & set(codes):
            return kind(f"{what}.", next_step=move)
    if {"timeout", "exception", "transient", "lock-error", "no-store", "throttled"} & set(codes):
        return ServerUnavailable(f"{what}.", next_step="try again later.")
    return BadRequest(f"{what}.", next_step="compare the request with what the practice's /metadata declares.")


def codes_of(response: Response) -> list[str]:
    """Return the OperationOutcome's issue codes, without repeats; only codes that FHIR defines."""
    return known_codes(_issues(response))


def known_codes(issues: Iterable[dict[str, Any]]) -> list[str]:
    """Return the codes of issues that FHIR defines, in their order, without repeats."""
    codes = (issue.get("code") for issue in issues)
    return list(dict.fromkeys(code for code in codes if isinstance(code, str) and code in ISSUE_CODES))


def places_of(issues: Iterable[dict[str, Any]]) -> list[str]:
    """Return the elements that issues are about, as paths (`Patient.name.family`), without repeats.

    A path ends before the first name that is not an element of FHIR's Patient.
    """
    found: dict[str, None] = {}
    for issue in issues:
        for name in ("expression", "location"):  # `location`: XPath, deprecated in R4
            listed = issue.get(name)
            for text in listed if isinstance(listed, list) else []:
                if isinstance(text, str) and (path := _element_path(text)):
                    found[path] = None
    return list(found)


def _element_path(text: str) -> str:
    """Return the path in an expression or XPath from `Patient` on; "" if it does not name Patient."""
    steps = PATH_STEP.findall(text.replace("/f:", "."))
    start = next((at for at, (name, _) in enumerate(steps) if name == "Patient"), None)
    if start is None:
        return ""
    kept = ["Patient"]
    for name, index in steps[start + 1 :]:
        if name not in ELEMENTS:
            break
        kept.append(name + index)
    return ".".join(kept)


def _issues(response: Response) -> list[dict[str, Any]]:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return []
    issues = body.get("issue") if isinstance(body, dict) and body.get("resourceType") == "OperationOutcome" else None
    return [issue for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []


def _where(response: Response) -> str:
    return f"{response.request.method} {without_values(response.url)}"

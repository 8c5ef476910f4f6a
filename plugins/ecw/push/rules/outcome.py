"""Read the outcome of a sent patient from eCW's answer, in any of its forms.

HTTP 200 does not mean success: eCW puts its own code where a Bundle has the HTTP status, and "201" and "202" are
failures.  A plain FHIR server (`plain`) has true HTTP statuses there.  eCW's own texts are not passed on, because they
can hold patient data.  (Reference, section 4.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ecw.crm.db.enums import JournalOutcome
from ecw.errors import AccessDenied, EcwError, FatalError, InvalidResponse, OutcomeUnknown, PushStopped
from ecw.fhir.responses import known_codes, places_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt.  `http` and `code` are None if the answer had none."""

    kind: JournalOutcome
    message: str
    next_step: str
    http: int | None = 200
    code: str | None = None
    ecw_id: str | None = None
    seconds: float | None = None
    places: tuple[str, ...] = ()  # the elements that a refusal is about

    @property
    def unclear(self) -> bool:
        """True if the patient reached eCW and the answer does not say what is wrong: it is sent again, up to TRIES."""
        return self.kind in (JournalOutcome.UNKNOWN, JournalOutcome.RETRY_ONCE) or self.code == "2"


@dataclass(frozen=True, slots=True)
class Code:
    """A row of eCW's codes."""

    meaning: str
    kind: JournalOutcome
    next_step: str


_FIX = "correct the field in the CRM; the next push sends the patient again."
_SEARCH = "search for the patient in eCW before it is sent again."
_ONCE = "send it once more; if it happens again, ask eCW support."
_EXTENSION = "check that the crosswalk has a code that the practice knows, then push again."
_BASE = "check the connection's base URL and the practice code: eCW takes no writes at this address."
_ID = "check the linked eCW id: the patient may have been merged or deleted in eCW."

CODES = {
    "1": Code("Success", JournalOutcome.DONE, ""),
    "2": Code("Failure", JournalOutcome.ADMINISTRATOR, "ask eCW support: eCW gives no reason with this code."),
    "100": Code("Invalid patient, or not found", JournalOutcome.FIX_DATA, _ID),
    "101": Code(
        "Invalid provider", JournalOutcome.FIX_DATA, "pull practitioners, choose one that is active, and push again."
    ),
    "102": Code("Invalid coding system", JournalOutcome.FIX_DATA, _EXTENSION),
    "103": Code("Temporary failure", JournalOutcome.RETRY_ONCE, _ONCE),
    "104": Code("Temporary failure", JournalOutcome.RETRY_ONCE, _ONCE),
    "107": Code(
        "Invalid facility", JournalOutcome.FIX_DATA, "choose a location that eCW has; the crosswalk `location` maps it."
    ),
    "108": Code("Unsupported characters", JournalOutcome.FIX_DATA, _FIX),
    "109": Code("A value is too long", JournalOutcome.FIX_DATA, _FIX),
    "117": Code("Invalid gender", JournalOutcome.FIX_DATA, "choose male, female or unknown: eCW takes no other."),
    "118": Code("Invalid name", JournalOutcome.FIX_DATA, _FIX),
    "119": Code("Invalid birth date", JournalOutcome.FIX_DATA, _FIX),
    "132": Code("Invalid extension (birth sex)", JournalOutcome.FIX_DATA, _EXTENSION),
    "151": Code("Invalid extension (race)", JournalOutcome.FIX_DATA, _EXTENSION),
    "152": Code("Invalid extension (ethnicity)", JournalOutcome.FIX_DATA, _EXTENSION),
    "165": Code("Invalid id", JournalOutcome.FIX_DATA, _ID),
    "201": Code(
        "Several patients found", JournalOutcome.LINK, "choose the right one among eCW's patients; nothing was written."
    ),
    "202": Code(
        "Patient already exists", JournalOutcome.LINK, "link it to the patient that eCW has; nothing was written."
    ),
    "203": Code(
        "Unsupported data", JournalOutcome.FIX_DATA, "compare the mapping file with what the practice's API takes."
    ),
    "204": Code("Invalid date format", JournalOutcome.FIX_DATA, _FIX),
    "207": Code("Patient not found", JournalOutcome.FIX_DATA, _ID),
    "308": Code(
        "No write-back user is configured for this practice",
        JournalOutcome.ADMINISTRATOR,
        "ask the practice's eCW administrator, or eCW support, to configure one; stop pushing until then.",
    ),
    "605": Code("Invalid identifier", JournalOutcome.FIX_DATA, _FIX),
    "608": Code("Id and patient do not match", JournalOutcome.FIX_DATA, f"undo the edit of the identifier, or {_ID}"),
    "614": Code("Unsupported characters", JournalOutcome.FIX_DATA, _FIX),
}

STALE = (409, 412)  # the answer to an update of an outdated version: FHIR defines 412, HAPI sends 409
_CONFLICT = "The patient changed in eCW after it was read (version conflict)"
_AGAIN = "nothing: the next attempt reads the patient again, merges and sends it."
_REVIVED = "The patient was deleted in eCW meanwhile, and this update has created it anew"
_LOOK = "check in eCW whether the deletion was meant; if so, delete the patient there again."

# [base/]Patient/id[/_history/version]; ids are 1 to 64 of A-Za-z0-9-.
_LOCATION = re.compile(r"(?:https?://[^\s?#]+/)?Patient/([A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]*)?/?")
_TRANSIENT = frozenset({"timeout", "exception", "transient", "lock-error", "no-store", "throttled", "incomplete"})


def understand(answer: dict[str, Any], *, plain: bool = False, sent_id: str | None = None) -> Outcome:
    """Return the outcome of an answer with HTTP 200; `sent_id` is the id of an update, which eCW may leave out.

    An unclear answer is UNKNOWN, and so is an answer that names another patient than `sent_id`.
    """
    outcomes = list(_outcomes(answer))
    response = _response(answer)
    code = _code(response, outcomes, plain)
    ecw_id = _located(response)
    if code is None:
        issues = known_codes(issue for outcome in outcomes for issue in _issues(outcome))
        content = f"an OperationOutcome ({', '.join(issues) or 'no code'})" if outcomes else "no entry"
        if outcomes and _refusal(outcomes):
            places = places_of(issue for outcome in outcomes for issue in _issues(outcome))
            next_step = _FIX if places else "ask eCW support which element it refuses."
            return _at(Outcome(JournalOutcome.FIX_DATA, f"Refused with {content}", next_step), places)
        return _unknown(f"eCW answered with {content} instead of its code")
    if plain and code[0] in "2345":
        refusals = [issue for each in outcomes for issue in _issues(each)]
        return _at(_plain(code, ecw_id, sent_id), places_of(refusals))
    known = CODES.get(code)
    if known is None:
        return _unknown("eCW answered with a code that is not in its list", code)
    if known.kind is not JournalOutcome.DONE:
        return Outcome(known.kind, known.meaning, known.next_step, code=code)
    return _done(code, known.meaning, ecw_id, sent_id)


def raised(error: EcwError, *, read: bool = False, update: bool = False, plain: bool = False) -> Outcome:
    """Return the outcome of a write that ended in an error instead of an answer; `read`: of a read or a search.

    Every write is POSTed to the practice's base URL, so a 404 concerns the address and not the patient, except for an
    `update` on a `plain` server, which answers with the entry's status.
    """
    status = re.search(r"HTTP (\d{3})", error.what)
    http = int(status.group(1)) if status else None
    what = type(error).__name__
    if isinstance(error, OutcomeUnknown):
        return Outcome(
            JournalOutcome.UNKNOWN, f"eCW's answer was lost, the outcome is not known ({what})", _SEARCH, http
        )
    if update and http in STALE:
        return Outcome(JournalOutcome.LATER, _CONFLICT, _AGAIN, http)
    if http == 412:  # a conditional create that matches several, https://hl7.org/fhir/R4/http.html#ccreate
        return Outcome(JournalOutcome.LINK, CODES["201"].meaning, CODES["201"].next_step, http)
    if not isinstance(error, FatalError) or isinstance(error, PushStopped):
        return Outcome(JournalOutcome.LATER, f"Not sent, or not accepted ({what})", error.next_step, http)
    if isinstance(error, InvalidResponse):
        return Outcome(JournalOutcome.ADMINISTRATOR, error.what, error.next_step, http)
    missing = http in (404, 410)
    if missing and update and plain:
        return Outcome(JournalOutcome.FIX_DATA, "Refused: eCW no longer has the patient", _ID, http)
    if isinstance(error, AccessDenied) or http not in (400, 404, 409, 410, 422) or (missing and not read):
        return Outcome(JournalOutcome.ADMINISTRATOR, f"Refused ({what})", _BASE if missing else error.next_step, http)
    next_step = _ID if missing else "compare the patient with the server's profile, and fix it."
    places = re.search(r", at (Patient[^:]*)\.\Z", error.what)
    return _at(
        Outcome(JournalOutcome.FIX_DATA, f"Refused ({what})", next_step, http),
        places.group(1).split(", ") if places else [],
    )


def _plain(code: str, ecw_id: str | None, sent_id: str | None) -> Outcome:
    http = int(code)
    if sent_id and http == 201:
        return Outcome(JournalOutcome.FIX_DATA, _REVIVED, _LOOK, http, None, ecw_id)
    if sent_id and http in STALE:
        return Outcome(JournalOutcome.LATER, _CONFLICT, _AGAIN, http)
    if http == 201 or (http == 200 and sent_id):
        return _done(None, "Created" if http == 201 else "Updated", ecw_id, sent_id, http)
    if http == 200 and ecw_id:  # the conditional create found an existing patient
        return Outcome(JournalOutcome.LINK, CODES["202"].meaning, CODES["202"].next_step, http, None, ecw_id)
    if http < 400:
        return _unknown(f"The server answered HTTP {http}")
    if http in (401, 403):
        return Outcome(JournalOutcome.ADMINISTRATOR, "Refused", "check the scopes of the registered app.", http)
    if http in (408, 425, 429) or http >= 500:
        return _unknown(f"The server answered HTTP {http}")
    if http == 412:
        return Outcome(JournalOutcome.LINK, CODES["201"].meaning, CODES["201"].next_step, http)
    if http in (404, 410) and sent_id is None:
        return Outcome(JournalOutcome.ADMINISTRATOR, "Refused", _BASE, http)
    return Outcome(JournalOutcome.FIX_DATA, "Refused", _ID if http in (404, 410) else _FIX, http)


def _at(outcome: Outcome, places: Sequence[str]) -> Outcome:
    """Add the refused elements to an outcome."""
    if not places or outcome.kind is JournalOutcome.DONE:
        return outcome
    return replace(outcome, message=f"{outcome.message} at {', '.join(places)}", places=tuple(places))


def _done(code: str | None, message: str, ecw_id: str | None, sent_id: str | None, http: int = 200) -> Outcome:
    if sent_id and ecw_id not in (None, sent_id):
        return _unknown("eCW named another patient than the sent one", code)
    if (ecw_id := ecw_id or sent_id) is None:
        return _unknown("Success without a location: the patient's id is unknown", code)
    return Outcome(JournalOutcome.DONE, message, "", http, code, ecw_id)


def _unknown(message: str, code: str | None = None) -> Outcome:
    return Outcome(JournalOutcome.UNKNOWN, message, _SEARCH, code=code)


def _entry(answer: dict[str, Any]) -> dict[str, Any]:
    entries = answer.get("entry")
    entry = entries[0] if isinstance(entries, list) and entries else None
    return entry if isinstance(entry, dict) else {}


def _response(answer: dict[str, Any]) -> dict[str, Any]:
    response = _entry(answer).get("response")
    return response if isinstance(response, dict) else {}


def _located(response: dict[str, Any]) -> str | None:
    location = response.get("location")
    found = _LOCATION.fullmatch(location) if isinstance(location, str) else None
    return found.group(1) if found else None


def _code(response: dict[str, Any], outcomes: list[dict[str, Any]], plain: bool) -> str | None:
    """Return eCW's code, or the HTTP status of a plain server ("201 Created"), from the status or the issues."""
    status = response.get("status")
    if isinstance(status, int | str) and not isinstance(status, bool):
        found = re.match(r"\s*(\d{1,4})(?!\d)" + (r"" if plain else r"\s*\Z"), str(status))
        if found:
            return found.group(1)
    codes = {code for outcome in outcomes for issue in _issues(outcome) for code in _coded(issue)}
    return codes.pop() if len(codes) == 1 else None


def _coded(issue: dict[str, Any]) -> Iterator[str]:
    """Yield eCW's codes in an issue's details; they never report a success."""
    details = issue.get("details")
    for coding in (details.get("coding") or []) if isinstance(details, dict) else []:
        code = coding.get("code") if isinstance(coding, dict) else None
        if isinstance(code, str) and code in CODES and code != "1":
            yield code


def _outcomes(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every OperationOutcome of the answer: itself, the entry's resource, the response's outcome."""
    entry, response = _entry(answer), _response(answer)
    for place in (answer, entry, entry.get("resource"), response, response.get("outcome")):
        if isinstance(place, dict) and place.get("resourceType") == "OperationOutcome":
            yield place


def _issues(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    issues = outcome.get("issue")
    return [issue for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []


def _refusal(outcomes: list[dict[str, Any]]) -> bool:
    """Return True if the server refused the patient: all issues are errors, and none is transient."""
    issues = [issue for outcome in outcomes for issue in _issues(outcome)]
    severe = [issue for issue in issues if issue.get("severity") in ("error", "fatal")]
    return bool(severe) and len(severe) == len(issues) and not any(issue.get("code") in _TRANSIENT for issue in severe)

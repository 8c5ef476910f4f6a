"""What an answer that is not the wanted one means: HTTP status and OperationOutcome -> one class of the error tree."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import orjson
from requests import Response

from ecw.api.links import without_values
from ecw.api.unreadable_records import BOM, salvaged
from ecw.errors import (
    AccessDenied,
    AnswerIncomplete,
    EcwError,
    PersonMustAct,
    QuotaSpent,
    RecordMissing,
    RequestRefused,
    ServerTrouble,
)

MAX_TEXT = 200
TOO_LATE = frozenset({404, 410})
TRANSIENT = frozenset({408, 425})


def json_of(response: Response, *, salvage: bool = False) -> dict[str, Any]:
    """Return the answer's JSON object.

    With `salvage`, records in it that cannot be read have stand-ins (ecw.api.unreadable_records).

    Raises ServerTrouble for HTML, cut-off JSON or anything else; its text never holds the body.
    """
    where, text = _where(response), response.content.removeprefix(BOM)
    if text.lstrip()[:1] == b"<":
        raise ServerTrouble(
            f"{where} answered with a web page (HTTP {response.status_code}) where FHIR was expected.",
            next_move="try again; if it stays, a gateway, a proxy or a wrong base URL stands before the API.",
        )
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = salvaged(text) if salvage else None
    if body is None:
        raise ServerTrouble(
            f"{where} answered with JSON that is cut off or damaged ({len(text)} bytes).",
            next_move="try again; if it stays, report the address to eCW support.",
        )
    if not isinstance(body, dict):
        raise ServerTrouble(f"{where} answered with JSON that is not an object.", next_move="try again.")
    return body


def error_of(response: Response) -> EcwError:
    """Return the error that a status other than success stands for.

    The server's own words are passed on for 400 only, without the request's values: elsewhere they can
    hold patient data.
    """
    status, where = response.status_code, _where(response)
    codes = f" ({', '.join(found)})" if (found := codes_of(response)) else ""
    if status == 429:
        return QuotaSpent(
            f"{where}: the practice's calls of this minute are used up (HTTP 429).",
            next_move="wait for the next clock minute; if it is often so, look for other programs that use the "
            "same practice's quota.",
        )
    if status in {401, 403}:
        return AccessDenied(
            f"{where}: the token does not reach this (HTTP {status}{codes}).",
            next_move="check that the app registered with eCW has the scope for this resource and that the "
            "connection's scopes name it.",
        )
    if status in TOO_LATE:
        return RecordMissing(
            f"{where}: not there (HTTP {status}{codes}).",
            next_move="check whether the record was deleted or merged in eCW.",
            who="clinic staff",
        )
    if status in TRANSIENT or status >= 500:
        return ServerTrouble(f"{where}: HTTP {status}{codes}.", next_move="try again later.")
    if 300 <= status < 400:
        return RequestRefused(
            f"{where}: redirects elsewhere (HTTP {status}), which is not followed with a token.",
            next_move="put the address that eCW gave for this practice into the connection's base URL.",
        )
    said = f": {text}" if status == 400 and (text := text_of(response)) else ""
    return RequestRefused(
        f"{where}: refused (HTTP {status}{codes}){said}",
        next_move="compare the parameters with the practice's /metadata; eCW takes exact sets only.",
    )


def outcome_error(response: Response) -> EcwError:
    """Return the error that an OperationOutcome with status 200 stands for."""
    codes = codes_of(response)
    what = f"{_where(response)}: an OperationOutcome instead of a result ({', '.join(codes) or 'no code'})"
    kinds: list[tuple[set[str], type[PersonMustAct], str]] = [
        ({"not-found", "deleted"}, RecordMissing, "check whether the record was deleted or merged in eCW."),
        ({"forbidden", "login", "security", "suppressed"}, AccessDenied, "check the scopes of the registered app."),
        ({"too-costly", "incomplete"}, AnswerIncomplete, "ask for less in one request."),
    ]
    for names, kind, move in kinds:
        if names & set(codes):
            return kind(f"{what}.", next_move=move)
    if {"timeout", "exception", "transient", "lock-error", "no-store", "throttled"} & set(codes):
        return ServerTrouble(f"{what}.", next_move="try again later.")
    return RequestRefused(
        f"{what}: {text_of(response)}", next_move="compare the request with what the practice's /metadata declares."
    )


def codes_of(response: Response) -> list[str]:
    """Return the OperationOutcome's issue codes, without repeats: FHIR's own words, never values."""
    codes = (issue.get("code") for issue in _issues(response))
    return list(dict.fromkeys(code for code in codes if isinstance(code, str) and re.fullmatch(r"[a-z-]{1,40}", code)))


def text_of(response: Response) -> str:
    """Return the server's words about the request: cut, without the request's values and without numbers.

    Empty for a request with a body: its values cannot be told from the server's words.
    """
    request = response.request
    if request.body:
        return ""
    texts = (issue.get("diagnostics") or (issue.get("details") or {}).get("text") for issue in _issues(response))
    said = unquote_plus(" / ".join(text for text in texts if isinstance(text, str)))  # a URL may be repeated in it
    for value in _values(request.url or ""):
        said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", said, flags=re.IGNORECASE)
    said = re.sub(r"\+?\d[\d\s().:/-]{2,}\d", "…", said)  # dates and phone numbers, however they are written
    return re.sub(r"\s+", " ", said)[:MAX_TEXT]


def _values(url: str) -> list[str]:
    found: set[str] = set()
    for _, value in parse_qsl(urlsplit(url).query):
        found.update({value, *re.split(r"[\s,|$+]+", value)})
    return sorted((value for value in found if value), key=len, reverse=True)


def _issues(response: Response) -> list[dict[str, Any]]:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return []
    issues = body.get("issue") if isinstance(body, dict) and body.get("resourceType") == "OperationOutcome" else None
    return [issue for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []


def _where(response: Response) -> str:
    return f"{response.request.method} {without_values(response.url)}"

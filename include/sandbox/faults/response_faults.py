"""Faults of a response: one that replaces the handler's, or one that damages it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import orjson
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from include.sandbox.bundles import fhir_answer, outcome, transaction_response
from include.sandbox.faults.fault_rule import Rule

if TYPE_CHECKING:
    from include.sandbox.endpoints.serving import Call


class HangUp(Response):
    """Drop the connection without a response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["transport"].abort()


class CutShort(Response):
    """Send half of the body, then drop the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["state"]["transport"].close()


# Faults that run before the handler; the handler does not run if they return a response.


async def _latency(call: Call, rule: Rule) -> None:
    await asyncio.sleep(rule.seconds)


async def _too_many(call: Call, rule: Rule) -> Response:
    return fhir_answer(call.sandbox, outcome("throttled", "Too many requests."), 429)


async def _server_error(call: Call, rule: Rule) -> Response:
    return HTMLResponse("<html><body><h1>500 Internal Server Error</h1></body></html>", 500)


async def _request_timeout(call: Call, rule: Rule) -> Response:
    return fhir_answer(call.sandbox, outcome("timeout", "Request timed out."), 408)


async def _hang(call: Call, rule: Rule) -> Response:
    await asyncio.sleep(rule.seconds)
    return HangUp()


async def _revoke(call: Call, rule: Rule) -> None:
    call.sandbox.tokens.pop(call.request.headers.get("authorization", "").partition(" ")[2], None)


async def _gone(call: Call, rule: Rule) -> Response:
    return fhir_answer(call.sandbox, outcome("deleted", "This page is gone."), 410)


async def _access_denied(call: Call, rule: Rule) -> Response:
    return JSONResponse({"error": "access_denied", "error_description": "Access denied."}, 500)


async def _expire_export(call: Call, rule: Rule) -> None:
    call.sandbox.exports.clear()


async def _write_code(call: Call, rule: Rule) -> Response:
    return fhir_answer(call.sandbox, transaction_response(rule.value))


async def _refuse(call: Call, rule: Rule) -> Response:
    """Answer with the HTTP status and the element of the rule's value, such as `422 Patient.birthDate`."""
    status, _, element = rule.value.partition(" ")
    body = orjson.loads(await call.request.body() or b"{}")
    quoted = orjson.dumps(body.get("entry", [{}])[0].get("resource", {})).decode()
    refusal = outcome("invariant", f"Refused: {quoted}", expression=[element] if element else [])
    return fhir_answer(call.sandbox, refusal, int(status))


# Faults that change the response of the handler.


def _truncate(call: Call, rule: Rule, response: Response) -> Response:
    body = bytes(response.body)
    kept = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(body[: len(body) // 2], response.status_code, kept)


def _drop(call: Call, rule: Rule, response: Response) -> Response:
    return CutShort(response.body, response.status_code, dict(response.headers))


def _lose(call: Call, rule: Rule, response: Response) -> Response:
    return HangUp(status_code=response.status_code)


def _write_answer(call: Call, rule: Rule, response: Response) -> Response:
    """Answer a successful write with another of the response bodies that were seen."""
    if call.interaction != "transaction" or response.status_code != 200:
        return response
    body = orjson.loads(response.body)
    answer = body["entry"][0]["response"]
    text = outcome("informational", "Processed.", "information")
    if rule.value == "outcome":
        body = text
    elif rule.value == "empty":
        del body["entry"]
    elif rule.value == "entry_outcome":
        body["entry"][0] = {"resource": text}
    elif rule.value == "no_location":
        answer.pop("location", None)
    elif "location" in answer:
        answer["location"] = {
            "absolute": f"{call.sandbox.link_base}/{answer['location']}",
            "history": f"{answer['location']}/_history/1",
        }[rule.value]
    return fhir_answer(call.sandbox, body)


def _break_record(call: Call, rule: Rule, response: Response) -> Response:
    """Damage the first record of the response: a strict parser refuses it, or it is too large or too deep."""
    body, start = bytes(response.body), f'"resourceType":"{call.kind}"'.encode()
    kept = {name: value for name, value in response.headers.items() if name != "content-length"}
    broken = body.replace(start, start + b',"language":' + BROKEN[rule.value or "surrogate"], 1)
    return Response(broken, response.status_code, kept)


BROKEN = {
    "surrogate": rb'"\ud800"',
    "bom": b'\xef\xbb\xbf"en"',
    "control": b'"\x01"',
    "utf8": b'"\xff\xfe"',
    "nan": b"NaN",
    "infinite": b"1e999",
    "nested": b"[" * 2000 + b"]" * 2000,
    "deep": b"[" * 300 + b"]" * 300,
    "large": b'"' + b"x" * (5 << 20) + b'"',
    "escape": rb'"\q"',
}
ANSWERS = ("outcome", "empty", "entry_outcome", "no_location", "absolute", "history")
BEFORE: dict[str, Callable[[Call, Rule], Awaitable[Response | None]]] = {
    "latency": _latency,
    "too_many": _too_many,
    "server_error": _server_error,
    "request_timeout": _request_timeout,
    "hang": _hang,
    "revoke_token": _revoke,
    "gone": _gone,
    "access_denied": _access_denied,
    "expire_export": _expire_export,
    "write_code": _write_code,
    "refuse": _refuse,
}
AFTER: dict[str, Callable[[Call, Rule, Response], Response]] = {
    "truncate": _truncate,
    "drop": _drop,
    "lose_response": _lose,
    "write_answer": _write_answer,
    "break_record": _break_record,
}

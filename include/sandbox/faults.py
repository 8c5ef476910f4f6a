"""What can go wrong, switched on by rule. A rule says the kind of fault and which calls it is for.

A handler meets faults at four points: `before` it runs, at the filter it honours (`honoured`), at the page it
made (`change_page`), and `after` it answered. README.md lists the kinds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from include.sandbox.bundles import Page, fhir_answer, outcome, transaction_response

if TYPE_CHECKING:
    from include.sandbox.serving import Call


@dataclass
class Rule:
    """One fault and the calls that it is for; `seen` counts those, `fired` the faults."""

    kind: str
    interaction: str = ""
    resource: str = ""
    page: int = 0
    nth: int = 0
    every: int = 0
    probability: float = 1.0
    seed: int = 0
    times: int = 0  # 0: no end
    seconds: float = 1.0
    value: str = ""
    seen: int = 0
    fired: int = 0
    touched: list[str] = field(default_factory=list)  # ids of changed patients

    def __post_init__(self) -> None:
        if self.kind == "write_answer" and self.value not in ANSWERS:
            raise ValueError(f"write_answer needs a value: {', '.join(ANSWERS)}")
        if self.kind == "break_record" and self.value not in ("", *BROKEN):
            raise ValueError(f"break_record needs a value: {', '.join(BROKEN)}")
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}; there are: {', '.join(sorted(KINDS))}")
        self._random = random.Random(self.seed)

    def fires(self, call: Call) -> bool:
        page = int(number) if (number := call.request.query_params.get("page", "1")).isdecimal() else 0
        if (
            self.interaction not in ("", call.interaction)
            or self.resource not in ("", call.kind)
            or self.page not in (0, page)
        ):
            return False
        self.seen += 1
        if (self.times and self.fired >= self.times) or (self.nth and self.seen != self.nth):
            return False
        if (self.every and self.seen % self.every) or self._random.random() >= self.probability:
            return False
        self.fired += 1
        return True


def firing(call: Call) -> list[Rule]:
    """Return the rules that fire at this call, and count it for all it is for."""
    return [rule for rule in call.sandbox.faults if rule.fires(call)]


async def before(call: Call) -> Response | None:
    """Return the answer of a fault that takes the handler's place; the handler must not run then."""
    for rule in call.rules:
        if kind := BEFORE.get(rule.kind):
            answer = await kind(call, rule)
            if answer is not None:
                return answer
    return None


def honoured(call: Call, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parameters that the server filters by: a fault leaves out the one it names, or all."""
    ignored = [rule.value for rule in call.rules if rule.kind == "ignore_filter"]
    return [pair for pair in pairs if "" not in ignored and pair[0] not in ignored]


def change_page(call: Call, page: Page) -> None:
    for rule in call.rules:
        if kind := ON_PAGE.get(rule.kind):
            kind(call, rule, page)


async def after(call: Call, response: Response) -> Response:
    for rule in call.rules:
        if kind := AFTER.get(rule.kind):
            response = kind(call, rule, response)
    return response


class HangUp(Response):
    """No answer at all: the connection is dropped."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["transport"].abort()


class CutShort(Response):
    """Half of the body, then the connection is dropped."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["state"]["transport"].close()


# -- in the handler's place


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
    """Answer with an HTTP status and the element that it is about: `422 Patient.birthDate`."""
    status, _, place = rule.value.partition(" ")
    body = orjson.loads(await call.request.body() or b"{}")
    quoted = orjson.dumps(body.get("entry", [{}])[0].get("resource", {})).decode()
    answer = outcome("invariant", f"Refused: {quoted}", expression=[place] if place else [])
    return fhir_answer(call.sandbox, answer, int(status))


# -- at the page


def _wrong_total(call: Call, rule: Rule, page: Page) -> None:
    page.total = int(rule.value or page.total + 7)


def _next_loops(call: Call, rule: Rule, page: Page) -> None:
    page.next_url = page.url(call.sandbox, page.number)


def _next_elsewhere(call: Call, rule: Rule, page: Page) -> None:
    """Point to another host: by default the token port, which counts the calls that arrive there."""
    if page.next_url:
        host = rule.value or f"127.0.0.1:{call.sandbox.place.token_port}"
        page.next_url = f"http://{host}/{page.next_url.split('/', 3)[3]}"


def _next_gone(call: Call, rule: Rule, page: Page) -> None:
    """Point to the next page as before, where the server then answers 410."""
    if page.next_url:
        call.sandbox.faults.append(Rule("gone", "search", page.kind, page=page.number + 1, times=1))


def _next_empty(call: Call, rule: Rule, page: Page) -> None:
    """Say that there is a next page, and not where."""
    page.next_url = ""


def _repeat(call: Call, rule: Rule, page: Page) -> None:
    """Begin with the last records of the page before, up to five."""
    if page.number > 1:
        collection = call.sandbox.store[page.kind]
        again = [collection.at(key) for key in page.slice(page.number - 1)[-5:]]
        page.resources[:0] = [resource for resource in again if resource]


def _change_next(call: Call, rule: Rule, page: Page) -> None:
    """Merge, deactivate or delete the first record of the next page, before that page is asked for."""
    store, following = call.sandbox.store, page.slice(page.number + 1)
    resource = store[page.kind].at(following[0]) if following else None
    if resource is None:
        return
    rule.touched.append(resource["id"])
    if rule.kind == "delete_next":
        store[page.kind].delete(resource["id"])
        return
    changed: dict[str, Any] = {**resource, "active": False}
    if rule.kind == "merge_next" and page.resources:
        other = {"reference": f"{page.kind}/{page.resources[0]['id']}"}
        changed["link"] = [{"other": other, "type": "replaced-by"}]
    store.put(changed)


def _edit_page(call: Call, rule: Rule, page: Page) -> None:
    """Save the page's first record anew, as soon as the page is sent: it has a new time of change."""
    if page.resources:
        rule.touched.append(page.resources[0]["id"])
        call.sandbox.store.put(page.resources[0])


# -- at the answer


def _truncate(call: Call, rule: Rule, response: Response) -> Response:
    body = bytes(response.body)
    kept = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(body[: len(body) // 2], response.status_code, kept)


def _drop(call: Call, rule: Rule, response: Response) -> Response:
    return CutShort(response.body, response.status_code, dict(response.headers))


def _lose(call: Call, rule: Rule, response: Response) -> Response:
    return HangUp(status_code=response.status_code)


def _write_answer(call: Call, rule: Rule, response: Response) -> Response:
    """Answer a stored patient in another of the shapes that were seen."""
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
    """Make the first record of the answer one that no strict parser reads, or that is too much for one."""
    body, sign = bytes(response.body), f'"resourceType":"{call.kind}"'.encode()
    kept = {name: value for name, value in response.headers.items() if name != "content-length"}
    broken = body.replace(sign, sign + b',"language":' + BROKEN[rule.value or "surrogate"], 1)
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
ON_PAGE: dict[str, Callable[[Call, Rule, Page], None]] = {
    "wrong_total": _wrong_total,
    "next_loops": _next_loops,
    "next_elsewhere": _next_elsewhere,
    "next_gone": _next_gone,
    "next_empty": _next_empty,
    "repeat": _repeat,
    "merge_next": _change_next,
    "deactivate_next": _change_next,
    "delete_next": _change_next,
    "edit_page": _edit_page,
}
AFTER: dict[str, Callable[[Call, Rule, Response], Response]] = {
    "truncate": _truncate,
    "drop": _drop,
    "lose_response": _lose,
    "write_answer": _write_answer,
    "break_record": _break_record,
}
ANSWERS = ("outcome", "empty", "entry_outcome", "no_location", "absolute", "history")
KINDS = {"ignore_filter", *BEFORE, *ON_PAGE, *AFTER}

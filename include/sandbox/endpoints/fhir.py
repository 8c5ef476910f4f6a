"""The FHIR calls search and read. Quota, token and faults are in serving.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from starlette.responses import Response

from include.sandbox.bundles import Page, Refused, fhir_answer, searchset
from include.sandbox.endpoints.serving import Call
from include.sandbox.faults import apply
from include.sandbox.profiles import READ_BY_PATH, declared, refusal

Pairs = Sequence[tuple[str, str]]


async def search(call: Call) -> Response:
    """Answer `GET {base}/{type}?…` with one page."""
    sandbox, kind = call.sandbox, call.kind
    _check_type(call)
    call.require(kind, "r")
    parameters = _parameters(call)
    number = _whole(parameters, "page", 1)
    pairs = [(name, value) for name, value in parameters if name not in ("page", "_count")]
    query = f"{kind}?{urlencode(pairs)}"
    keys = sandbox.remembered(query) if number > 1 and sandbox.settings.paging == "snapshot" else None
    if keys is None and "no-cache" not in call.request.headers.get("cache-control", ""):
        keys = sandbox.cached(query)
    if keys is None:
        keys = _matches(call, apply.honoured(call, pairs))
        sandbox.remember(query, keys)
    without_page = [pair for pair in parameters if pair[0] != "page"]
    paged = "page" in declared(kind, sandbox.settings)
    size = _whole(parameters, "_count", sandbox.settings.page_size) if paged else max(len(keys), 1)
    page = Page(kind, without_page, keys, number, size, total=len(keys))
    collection = sandbox.store[kind]
    page.resources = [sandbox.shown(resource) for key in page.slice(number) if (resource := collection.at(key))]
    if page.slice(number + 1):
        page.next_url = page.url(sandbox, number + 1)
    apply.change_page(call, page)
    return fhir_answer(sandbox, searchset(sandbox, page))


async def read(call: Call) -> Response:
    """Answer `GET {base}/{type}/{id}`."""
    sandbox, kind, ecw_id = call.sandbox, call.kind, call.request.path_params["id"]
    plain = sandbox.settings.profile == "fhir"
    _check_type(call)
    if kind not in READ_BY_PATH and not plain:
        raise Refused(404, "not-supported", f"Read is not supported for {kind}.")
    call.require(kind, "r")
    if kind == "Practitioner" and "." in ecw_id and not plain:
        raise Refused(500, "exception", "String index out of range: -1")
    resource = sandbox.store.readable(kind, ecw_id)
    if resource is None:
        gone = plain and sandbox.store[kind].was_deleted(ecw_id)
        raise Refused(410 if gone else 404, "deleted" if gone else "not-found", f"{kind} with this id is not known.")
    return fhir_answer(sandbox, sandbox.shown(resource))


async def unknown(call: Call) -> Response:
    """Refuse calls that eCW does not support: other methods, deeper paths."""
    raise Refused(404, "not-supported", "Invalid request: this operation is not supported.")


def _check_type(call: Call) -> None:
    if call.kind not in call.sandbox.store.types:
        raise Refused(404, "not-supported", f"Unknown resource type '{call.kind}'.")


def _parameters(call: Call) -> list[tuple[str, str]]:
    """Return the supported parameters: eCW refuses a search with any other, a plain server ignores the others."""
    sandbox, pairs = call.sandbox, call.pairs
    if sandbox.settings.profile == "fhir":
        names = declared(call.kind, sandbox.settings)
        pairs = [pair for pair in pairs if pair[0] in names]
    elif text := refusal(call.kind, pairs, sandbox.settings):
        raise Refused(400, "invalid", text)
    try:
        sandbox.matchers.check_dates(call.kind, pairs)
    except ValueError:
        raise Refused(400, "value", "Invalid date in a date parameter.") from None
    return pairs


def _whole(pairs: Pairs, name: str, default: int) -> int:
    value = dict(pairs).get(name, str(default))
    if not value.isdecimal() or int(value) < 1:
        raise Refused(400, "value", f"{name} must be a whole number above 0.")
    return int(value)


def _matches(call: Call, pairs: Pairs) -> list[int]:
    sandbox, kind = call.sandbox, call.kind
    collection, params = sandbox.store[kind], dict(pairs)
    if "_id" in params:
        keys: Iterable[int] = (key for each in params["_id"].split(",") if (key := collection.key_of(each)) is not None)
    else:
        keys = collection.candidates(params)
    if not pairs:
        return [key for key in keys if not sandbox.store.is_hidden(collection, key)]
    return [
        key
        for key in keys
        if (resource := collection.at(key))
        and not sandbox.store.is_hidden(collection, key)
        and sandbox.matchers.matches(kind, resource, pairs)
    ]

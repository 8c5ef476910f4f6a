"""The steps of every call: quota, latency, faults, bearer and scope; then it is counted and logged.

The access log has the path and the names of the parameters, never their values.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from include.sandbox.bundles import Refused, fhir_answer, outcome
from include.sandbox.faults import apply
from include.sandbox.faults.fault_rule import Rule
from include.sandbox.faults.response_faults import HangUp
from include.sandbox.oauth import OAuthError, Token
from include.sandbox.sandbox import Sandbox

log = logging.getLogger("include.sandbox")


@dataclass
class Call:
    """One request, with its state in the server."""

    sandbox: Sandbox
    request: Request
    interaction: str
    kind: str = ""
    token: Token | None = None
    rules: list[Rule] = field(default_factory=list)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return self.request.query_params.multi_items()

    def require(self, kind: str, verb: str) -> None:
        """Check that the token allows a verb (`c`, `r` or `u`) on that type.

        Raises Refused with 403.
        """
        if self.token is None or not self.token.allows(kind, verb):
            raise Refused(403, "forbidden", f"The token's scopes do not allow this on {kind}.")


Handler = Callable[[Call], Awaitable[Response]]


def endpoint(
    sandbox: Sandbox, interaction: str, handler: Handler, *, bearer: bool = True
) -> Callable[[Request], Awaitable[Response]]:
    """Make a Starlette endpoint of a handler, which may raise Refused or OAuthError."""

    async def serve(request: Request) -> Response:
        began = time.monotonic()
        call = Call(sandbox, request, interaction, request.path_params.get("kind") or _KINDS.get(interaction, ""))
        served = sandbox.served
        response = await _answer(call, handler, bearer)
        response.headers["Date"] = sandbox.clock.http_date()
        served.answers[interaction, call.kind, response.status_code] += 1
        names = "&".join(dict(parse_qsl(request.url.query, keep_blank_values=True)))
        path = request.scope["raw_path"].decode("ascii", "replace") + (f"?{names}" if names else "")
        log.info("%s %s %s %.0f ms", request.method, path, response.status_code, (time.monotonic() - began) * 1000)
        return response

    return serve


async def _answer(call: Call, handler: Handler, bearer: bool) -> Response:
    settings, served = call.sandbox.settings, call.sandbox.served
    minute = call.sandbox.clock.minute()
    if settings.quota and served.minutes[minute] >= settings.quota:
        return _refusal(call, Refused(429, "throttled", "Too many requests: this minute's quota is used up."))
    served.minutes[minute] += 1
    call.rules = apply.firing(call)
    if settings.latency:
        await asyncio.sleep(settings.latency)
    try:
        response = await apply.before(call)
        if served is not call.sandbox.served:
            return HangUp()  # the sandbox was reset during this call
        if response is None:
            if call.request.path_params.get("practice", call.sandbox.place.practice) != call.sandbox.place.practice:
                raise Refused(404, "not-found", "Unknown practice code.")
            if bearer:
                call.token = _bearer(call)
            response = await handler(call)
    except Refused as error:
        response = _refusal(call, error)
    except OAuthError as error:
        response = error.response()
    return await apply.after(call, response)


def _refusal(call: Call, refused: Refused) -> Response:
    if call.interaction == "token":
        return JSONResponse({"error": "too_many_requests", "error_description": refused.diagnostics}, refused.status)
    body = outcome(refused.code, refused.diagnostics, expression=refused.expression)
    return fhir_answer(call.sandbox, body, refused.status, refused.headers)


def _bearer(call: Call) -> Token:
    kind, _, token = call.request.headers.get("authorization", "").partition(" ")
    granted = call.sandbox.tokens.get(token) if kind.lower() == "bearer" else None
    if granted is None or granted.expires <= call.sandbox.clock.now():
        challenge: Any = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Refused(401, "login", "The access token is missing, unknown or expired.", challenge)
    bulk = call.interaction.startswith("export") or call.kind == "Group"
    if granted.is_bulk and not bulk and call.sandbox.settings.profile == "ecw":
        raise Refused(403, "forbidden", "A token with system/Group.read is for bulk data, not for single patients.")
    return granted


_KINDS = {"create": "Patient", "update": "Patient", "transaction": "Patient", "export": "Group"}

"""The two web applications of one process: the FHIR server, and the token endpoint with the admin's door."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.sandbox import capability, fhir, oauth
from include.sandbox.admin import Admin
from include.sandbox.sandbox import Sandbox
from include.sandbox.serving import Call, endpoint

_BASE = "/fhir/r4/{practice}"


def fhir_app(sandbox: Sandbox) -> Starlette:
    known = endpoint(sandbox, "unknown", fhir.unknown)
    return Starlette(
        routes=[
            Route(f"{_BASE}/metadata", endpoint(sandbox, "metadata", capability.metadata, bearer=False)),
            Route(
                f"{_BASE}/.well-known/smart-configuration",
                endpoint(sandbox, "smart-configuration", capability.smart_configuration, bearer=False),
            ),
            Route(f"{_BASE}/{{kind}}", endpoint(sandbox, "search", fhir.search)),
            Route(f"{_BASE}/{{kind}}/{{id}}", endpoint(sandbox, "read", fhir.read)),
            Route("/{rest:path}", known, methods=["GET", "POST", "PUT", "DELETE", "PATCH"]),
        ]
    )


def token_app(sandbox: Sandbox) -> Starlette:
    async def token(call: Call) -> Response:
        return await oauth.grant(sandbox, call.request)

    async def elsewhere(request: Request) -> Response:
        """Count what should never come here: a call that followed a link off the FHIR server."""
        sandbox.served.elsewhere += 1
        return JSONResponse({"error": "not found"}, 404)

    return Starlette(
        routes=[
            Route("/oauth/oauth2/token", endpoint(sandbox, "token", token, bearer=False), methods=["POST"]),
            *Admin(sandbox).routes(),
            Route("/{rest:path}", elsewhere, methods=["GET", "POST", "PUT", "DELETE", "PATCH"]),
        ]
    )

"""The two web applications of one process: the FHIR server, and the token endpoint with the admin API."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.sandbox import export, oauth
from include.sandbox.endpoints import capability, fhir, writes
from include.sandbox.endpoints.admin import Admin
from include.sandbox.endpoints.serving import Call, Handler, endpoint
from include.sandbox.sandbox import Sandbox

ANY = ["GET", "POST", "PUT", "DELETE", "PATCH"]


def fhir_app(sandbox: Sandbox) -> Starlette:
    def at(path: str, interaction: str, handler: Handler, method: str = "GET", *, bearer: bool = True) -> Route:
        serve = endpoint(sandbox, interaction, handler, bearer=bearer)
        route = Route(f"{sandbox.settings.base_path}{path}", serve, methods=[method])
        route.methods = {method}  # Starlette adds HEAD to GET; eCW does not have it
        return route

    return Starlette(
        routes=[
            at("/metadata", "metadata", capability.metadata, bearer=False),
            at("/.well-known/smart-configuration", "smart-configuration", capability.smart, bearer=False),
            at("/Group/{id}/$export", "export", export.kick_off),
            *(_exported(sandbox, sandbox.settings.base_path)),
            *(_exported(sandbox, "/bulk")),
            at("", "transaction", writes.transaction, "POST"),
            at("/", "transaction", writes.transaction, "POST"),
            at("/Patient", "create", writes.create, "POST"),
            at("/Patient/{id}", "update", writes.update, "PUT"),
            at("/{kind}", "search", fhir.search),
            at("/{kind}/", "search", fhir.search),
            at("/{kind}/{id}", "read", fhir.read),
            Route("/{rest:path}", endpoint(sandbox, "unknown", fhir.unknown), methods=ANY),
        ]
    )


def _exported(sandbox: Sandbox, path: str) -> list[Route]:
    """Return the routes to the status and files of exports; `export_origin` may put them at another address."""
    routes = []
    for end, interaction, handler, method in (
        ("/$export-status/{job}", "export-status", export.status, "GET"),
        ("/$export-status/{job}", "export-cancel", export.cancel, "DELETE"),
        ("/$export-file", "export-file", export.file, "GET"),
    ):
        routes.append(Route(f"{path}{end}", endpoint(sandbox, interaction, handler), methods=[method]))
        routes[-1].methods = {method}
    return routes


def token_app(sandbox: Sandbox) -> Starlette:
    async def token(call: Call) -> Response:
        return await oauth.grant(sandbox, call.request)

    async def elsewhere(request: Request) -> Response:
        """Count a call that should never arrive: it followed a link to another server than the FHIR server."""
        sandbox.served.elsewhere += 1
        return JSONResponse({"error": "not found"}, 404)

    return Starlette(
        routes=[
            Route("/oauth/oauth2/token", endpoint(sandbox, "token", token, bearer=False), methods=["POST"]),
            *Admin(sandbox).routes(),
            *_exported(sandbox, "/bulk"),
            Route("/{rest:path}", elsewhere, methods=ANY),
        ]
    )

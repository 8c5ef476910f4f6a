"""The admin API for tests, on the token port: change records, read counts, change settings, add faults, reset.

Its calls do not count in the quota and need no authentication: the sandbox listens on 127.0.0.1 only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from include.sandbox.faults.apply import rule_of
from include.sandbox.faults.fault_rule import Rule
from include.sandbox.oauth import Client
from include.sandbox.sandbox import Sandbox


class Admin:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def routes(self) -> list[Route]:
        def route(path: str, **methods: Callable[[Request], Awaitable[Response]]) -> list[Route]:
            return [Route(f"/admin{path}", handler, methods=[method]) for method, handler in methods.items()]

        return [
            *route("/records", GET=self.record_counts),
            *route("/records/{kind}", GET=self.records, DELETE=self.delete_all),
            *route("/records/{kind}/{id}", GET=self.record, PUT=self.put, DELETE=self.delete),
            *route("/counts", GET=self.counts),
            *route("/settings", GET=self.settings, PATCH=self.set),
            *route("/clients/{id}", PUT=self.register),
            *route("/faults", GET=self.faults, POST=self.add_fault, DELETE=self.clear_faults),
            *route("/reset", POST=self.reset),
        ]

    async def record_counts(self, request: Request) -> Response:
        """Return the number of records of each type."""
        return JSONResponse({kind: len(records) for kind, records in self.sandbox.store.types.items()})

    async def records(self, request: Request) -> Response:
        """Return all records of a type as NDJSON."""
        kind = request.path_params["kind"]
        if kind not in self.sandbox.store.types:
            return _error(404, f"unknown type {kind!r}")

        async def lines() -> AsyncIterator[bytes]:
            for resource in self.sandbox.store.all(kind):
                yield orjson.dumps(resource, option=orjson.OPT_APPEND_NEWLINE)

        return StreamingResponse(lines(), media_type="application/fhir+ndjson")

    async def delete_all(self, request: Request) -> Response:
        """Delete all records of a type."""
        records = self.sandbox.store.types.get(request.path_params["kind"])
        if records is None:
            return _error(404, f"unknown type {request.path_params['kind']!r}")
        for resource in list(self.sandbox.store.all(request.path_params["kind"])):
            records.delete(resource["id"])
        return Response(status_code=204)

    async def record(self, request: Request) -> Response:
        kind, ecw_id = request.path_params["kind"], request.path_params["id"]
        records = self.sandbox.store.types.get(kind)
        resource = records.get(ecw_id) if records else None
        return JSONResponse(resource) if resource else _error(404, f"no {kind} with this id")

    async def put(self, request: Request) -> Response:
        """Store a record with a new `meta.lastUpdated`; with `?stamp=no` unchanged."""
        resource = await request.json()
        kind, ecw_id = request.path_params["kind"], request.path_params["id"]
        if kind not in self.sandbox.store.types or resource.get("resourceType") != kind:
            return _error(400, "the type in the path, the type in the body and a known type must be the same")
        stored = self.sandbox.store.put({**resource, "id": ecw_id}, stamp=request.query_params.get("stamp") != "no")
        return JSONResponse(stored)

    async def delete(self, request: Request) -> Response:
        records = self.sandbox.store.types.get(request.path_params["kind"])
        if records is None or not records.delete(request.path_params["id"]):
            return _error(404, "no record with this id")
        return Response(status_code=204)

    async def counts(self, request: Request) -> Response:
        """Return how many responses were sent, and how many calls the quota admitted in each minute."""
        served = self.sandbox.served
        rows = [
            {"interaction": interaction, "resource": kind, "status": status, "count": count}
            for (interaction, kind, status), count in sorted(served.answers.items())
        ]
        return JSONResponse(
            {
                "total": served.answers.total(),
                "answers": rows,
                "minutes": {str(minute): count for minute, count in sorted(served.minutes.items())},
                "elsewhere": served.elsewhere,
            }
        )

    async def settings(self, request: Request) -> Response:
        return JSONResponse(vars(self.sandbox.settings))

    async def set(self, request: Request) -> Response:
        try:
            for name, value in (await request.json()).items():
                self.sandbox.settings.set(name, value)
        except ValueError as error:
            return _error(400, str(error))
        return await self.settings(request)

    async def register(self, request: Request) -> Response:
        """Register a client, or change one: `{"jwks_url": …, "secret": …}`."""
        client = Client(request.path_params["id"], **await request.json())
        self.sandbox.clients[client.id] = client
        return JSONResponse({"id": client.id})

    async def faults(self, request: Request) -> Response:
        return JSONResponse([_rule_json(rule) for rule in self.sandbox.faults])

    async def add_fault(self, request: Request) -> Response:
        try:
            rule = rule_of(**await request.json())
        except (TypeError, ValueError) as error:
            return _error(400, str(error))
        self.sandbox.faults.append(rule)
        return JSONResponse(_rule_json(rule), 201)

    async def clear_faults(self, request: Request) -> Response:
        self.sandbox.faults.clear()
        return Response(status_code=204)

    async def reset(self, request: Request) -> Response:
        """Restore the state of the start: records, settings, clients, counts, tokens, exports, faults."""
        self.sandbox.reset()
        return Response(status_code=204)


def _rule_json(rule: Rule) -> dict[str, Any]:
    return {name: value for name, value in vars(rule).items() if not name.startswith("_")}


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)

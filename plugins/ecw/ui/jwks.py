"""The client's public keys under `/ecw/.well-known/jwks.json`: the only address that is open to everybody.

Off unless the Variable `ecw_jwks` names the file that `ecw keys` has written.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ecw.fhir.auth.key_store import public_set
from ecw.settings import connections

MAX_BYTES = 100_000


def published(_request: Request) -> Response:
    """Answer with the public members of the keys; 404 where nothing is published."""
    path = connections.variable("ecw_jwks")
    try:
        if not path:
            raise FileNotFoundError
        with Path(path).expanduser().open("rb") as file:
            keys = public_set(file.read(MAX_BYTES))
    except (OSError, ValueError):
        return JSONResponse({"error": "no keys are published here"}, 404)
    return JSONResponse(keys, headers={"Cache-Control": "public, max-age=300"})


# Not a route of FastAPI's: those ask for a login.
route = Route("/.well-known/jwks.json", published, methods=["GET"])

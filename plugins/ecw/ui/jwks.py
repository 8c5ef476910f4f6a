"""The client's public keys at `/ecw/.well-known/jwks.json`: the only address without a login.

It is off (404) until the Variable `ecw_jwks` names the file that `ecw keys` has written.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ecw.fhir.keys.key_store import public_set
from ecw.settings import connections

MAX_BYTES = 100_000


def published(_request: Request) -> Response:
    """Return the public members of the keys as a JWKS; 404 if nothing is published."""
    path = connections.variable("ecw_jwks")
    try:
        if not path:
            raise FileNotFoundError
        with Path(path).expanduser().open("rb") as file:
            keys = public_set(file.read(MAX_BYTES))
    except (OSError, ValueError):
        return JSONResponse({"error": "no keys are published here"}, 404)
    return JSONResponse(keys, headers={"Cache-Control": "public, max-age=300"})


# A route of Starlette, without the dependencies of FastAPI's routes, which need a login.
route = Route("/.well-known/jwks.json", published, methods=["GET"])

"""The errors of a refused token request: the likely cause, the next step and who can take it.

eCW's answer names a code, rarely the cause; the causes are collected from eCW's documentation.  Messages hold only
OAuth's codes: the description in the answer is free text of the server, which may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson
from requests import Response

from ecw.errors import AuthenticationError, ConfigurationError, EcwError, RetryableError
from ecw.fhir.connection import EcwSettings
from ecw.fhir.responses import error_of

# RFC 6749, 5.2 and 4.1.2.1
OAUTH_CODES = frozenset(
    [
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
        *("invalid_scope", "access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable"),
    ]
)
OTHER_CODE = "an unknown OAuth error"
CLOCK_SECONDS = 60  # an assertion is valid for minutes: a smaller skew is not the cause


def refusal_of(response: Response, settings: EcwSettings, scopes: Collection[str]) -> EcwError:
    """Return the error for a token request whose status is not 200.

    Only a temporary failure is a RetryableError. eCW sends `access_denied` with HTTP 500: it is not temporary.
    """
    code = _code(response)
    where = f"The token endpoint {response.url.split('?')[0]}"
    error = error_of(response)
    if isinstance(error, RetryableError) and code != "access_denied":
        return error
    if not code:
        return ConfigurationError(
            f"{where} answered HTTP {response.status_code} without an OAuth error: it is not a token endpoint.",
            next_step="check the field token_url; leave it empty to use the one that the practice's discovery names.",
        )
    cause, move, who = _cause(code, settings, scopes)
    skew = clock_skew(response)
    if abs(skew) > CLOCK_SECONDS and code != "access_denied":
        cause = f"this machine's clock is {describe(skew)} the server's"
        move, who = "set the clock of this machine (NTP), then try again.", "the operator of this machine"
    return AuthenticationError(
        f"{where} refused client {settings.client_id} (HTTP {response.status_code}, {code}): {cause}.",
        next_step=move,
        who=who,
    )


def clock_skew(response: Response) -> float:
    """Return how many seconds this machine's clock is ahead of the answer's Date header; 0 without one."""
    try:
        server_time = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return 0.0
    return (datetime.now(UTC) - server_time.replace(tzinfo=server_time.tzinfo or UTC)).total_seconds()


def describe(skew: float) -> str:
    """Return the skew in words: "400 s ahead of"."""
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'}"


def _cause(code: str, settings: EcwSettings, scopes: Collection[str]) -> tuple[str, str, str | None]:
    if code == "invalid_client" and settings.client_secret:
        return (
            "the client id is unknown, or the client secret is not the one of this client",
            "compare login and client_secret with the app's registration.",
            None,
        )
    if code == "invalid_client":
        return (
            f"the client id is unknown here, or key id {settings.key_id!r} is not in the registered JWKS, or the "
            "private key is not the published one, or eCW cannot fetch the JWKS URL, or has not allow-listed it",
            "compare login and key_id with the app's registration, open the registered JWKS URL from outside your "
            "network, and ask eCW support whether it is allow-listed for this environment (staging or production).",
            None,
        )
    if code in {"invalid_grant", "invalid_scope"}:
        return (
            f"the app lacks a requested scope, or eCW spells it differently (requested: {' '.join(scopes)}), or "
            "eCW expects another audience than the token URL, or this machine's clock is wrong",
            "compare the scopes with the app's registration letter by letter; one unknown scope fails the whole "
            "request. Then check the field audience.",
            None,
        )
    if code in {"access_denied", "unauthorized_client"}:
        return (
            "the app is registered, but not switched on for this practice",
            "ask eCW support to activate the app for the practice code in the base URL.",
            "eCW support, asked by the person who registered the app",
        )
    return (
        "this endpoint does not accept such a request",
        "check the field token_url, and whether the app was registered for a private key or for a client secret.",
        None,
    )


def _code(response: Response) -> str:
    """Return the code of the OAuth error; "" if the answer is not an OAuth error."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return ""
    code = body.get("error") if isinstance(body, dict) else None
    if not isinstance(code, str) or not re.fullmatch(r"[a-z_]{1,60}", code):
        return ""
    return code if code in OAUTH_CODES else OTHER_CODE

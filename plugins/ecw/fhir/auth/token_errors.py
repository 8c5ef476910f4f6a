"""What the token endpoint's "no" can mean, and who can turn it into a "yes".

The list of causes is collected from eCW's documentation; their answer names a code, rarely the cause.  Of the answer
only OAuth's codes pass: its description is a text of the server's, which may hold anything.
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
CLOCK_SECONDS = 60  # an assertion lives for minutes: less than this is not the cause


def refusal_of(response: Response, settings: EcwSettings, scopes: Collection[str]) -> EcwError:
    """Return the error for a token request that was not answered with 200.

    Only a temporary trouble is a RetryableError; eCW's own `access_denied` comes with HTTP 500 and is not.
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
        move, who = "set the clock of this machine (NTP), then try again.", "whoever runs this machine"
    return AuthenticationError(
        f"{where} refused client {settings.client_id} (HTTP {response.status_code}, {code}): {cause}.",
        next_step=move,
        who=who,
    )


def clock_skew(response: Response) -> float:
    """Return by how many seconds this machine's clock is ahead of the server's Date; 0 where it has none."""
    try:
        theirs = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return 0.0
    return (datetime.now(UTC) - theirs.replace(tzinfo=theirs.tzinfo or UTC)).total_seconds()


def describe(skew: float) -> str:
    """Return the skew in words: "400 s ahead of"."""
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'}"


def _cause(code: str, settings: EcwSettings, scopes: Collection[str]) -> tuple[str, str, str | None]:
    if code == "invalid_client" and settings.client_secret:
        return (
            "the client id is unknown, or the client secret is not its own",
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
            f"a scope that the app does not have or that eCW spells otherwise (asked for: {' '.join(scopes)}), or "
            "another audience is wanted than the token URL, or this machine's clock is wrong",
            "compare the scopes with the app's registration letter by letter; one unknown scope fails the whole "
            "request. Then check the field audience.",
            None,
        )
    if code in {"access_denied", "unauthorized_client"}:
        return (
            "the app is registered, but not switched on for this practice",
            "ask eCW support to activate the app for the practice code in the base URL.",
            "eCW support, asked by whoever registered the app",
        )
    return (
        "the request is not what this endpoint takes",
        "check the field token_url, and whether the app was registered for a private key or for a client secret.",
        None,
    )


def _code(response: Response) -> str:
    """Return the OAuth error's code; "" where the answer is no OAuth error."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return ""
    code = body.get("error") if isinstance(body, dict) else None
    if not isinstance(code, str) or not re.fullmatch(r"[a-z_]{1,60}", code):
        return ""
    return code if code in OAUTH_CODES else OTHER_CODE

"""The token endpoint: SMART Backend Services (RFC 7523) as in eCW.

It fetches the client's JWKS for every token. The errors are those of eCW's reference; a signature that does not
verify is `invalid_client`, as in RFC 7523. Descriptions name the cause, never a key or a token.
"""

from __future__ import annotations

import binascii
import re
import secrets
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from include.sandbox.settings import Settings

if TYPE_CHECKING:
    from include.sandbox.sandbox import Sandbox

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FULL_TYPES = ("Patient", "Encounter", "Practitioner", "Location", "Organization", "Group")
_AHEAD = 300  # seconds that an assertion may live
_SKEW = 5
_SMART_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)")


@dataclass(frozen=True)
class Client:
    """A registered client; it authenticates by its JWKS, by its secret, or by either."""

    id: str
    jwks_url: str = ""
    secret: str = ""


@dataclass(frozen=True)
class Token:
    scopes: frozenset[str]
    expires: float

    @property
    def is_bulk(self) -> bool:
        return any(scope.startswith("system/Group.") for scope in self.scopes)

    def allows(self, kind: str, verb: str) -> bool:
        """Return True if a scope grants a verb (`c`, `r` or `u`) on this type, in any spelling of scopes."""
        granted = {scope.partition(".")[2] for scope in self.scopes if scope.split(".")[0] in (f"system/{kind}", _ALL)}
        return any(each in _WORDS[verb] or (set(each) <= set("cruds") and verb in each) for each in granted)


_ALL = "system/*"
_WORDS = {"c": ("create", "write", "*"), "r": ("read", "*"), "u": ("update", "write", "*")}


class OAuthError(Exception):
    """An error response of the token endpoint (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status

    def response(self) -> Response:
        headers = {"Cache-Control": "no-store"}
        return JSONResponse({"error": self.error, "error_description": self.description}, self.status, headers)


def invalid_client(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, 401)


def invalid_grant(description: str) -> OAuthError:
    return OAuthError("invalid_grant", description)


def known_scopes(settings: Settings) -> frozenset[str]:
    """Return the scopes that eCW knows; Coverage has only `.r`."""
    verbs = ("read", "rs", "r", *(("c", "u") if settings.write_scopes == "cu" else ("create", "update")))
    return frozenset({"system/Coverage.r"} | {f"system/{kind}.{verb}" for kind in FULL_TYPES for verb in verbs})


async def grant(sandbox: Sandbox, request: Request) -> Response:
    """Answer a token request.

    Raises OAuthError.
    """
    form = await _form(request)
    if form.get("grant_type") != "client_credentials":
        raise OAuthError("unsupported_grant_type", "grant_type must be client_credentials.")
    await _authenticate(sandbox, request, form)
    scopes = _scopes(sandbox.settings, form.get("scope", ""))
    seconds = sandbox.settings.token_seconds
    token = secrets.token_urlsafe(32)
    now = sandbox.clock.now()
    for old in [each for each, kept in sandbox.tokens.items() if kept.expires < now]:
        del sandbox.tokens[old]
    sandbox.tokens[token] = Token(scopes, now + seconds)
    body = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": seconds,
        "scope": form["scope"],
    }
    return JSONResponse(body, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


async def _form(request: Request) -> dict[str, str]:
    if request.url.query:
        raise OAuthError("invalid_request", "Parameters must be in the form body, never in the query.")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.")
    pairs = parse_qsl((await request.body()).decode(errors="replace"))
    form = dict(pairs)
    if len(form) < len(pairs):
        raise OAuthError("invalid_request", "A parameter is given twice.")
    return form


async def _authenticate(sandbox: Sandbox, request: Request, form: Mapping[str, str]) -> None:
    header = request.headers.get("authorization", "")
    if header.lower().startswith("basic "):
        _check_secret(sandbox, header[6:])
    elif "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}.")
        await _check_assertion(sandbox, form["client_assertion"])
    elif "client_secret" in form:
        raise invalid_client("client_secret_post is not supported; use HTTP Basic or a client assertion.")
    else:
        raise OAuthError("invalid_request", "client_assertion is missing.")


def _check_secret(sandbox: Sandbox, encoded: str) -> None:
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_client("The Authorization header is not HTTP Basic.") from None
    client = sandbox.clients.get(client_id)
    if client is None or not client.secret or not secrets.compare_digest(client.secret, secret):
        raise invalid_client("Client authentication failed: unknown client or wrong secret.")


async def _check_assertion(sandbox: Sandbox, assertion: str) -> None:
    try:
        header = jwt.get_unverified_header(assertion)
        unverified = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise invalid_grant("The client assertion is malformed.") from None
    if header.get("alg") != "RS384":
        raise invalid_grant("The client assertion must be signed with RS384.")
    if header.get("typ") != "JWT":
        raise invalid_grant("The client assertion's header must have typ JWT.")
    client = sandbox.clients.get(str(unverified.get("iss")))
    if client is None or not client.jwks_url:
        raise invalid_client("Unknown client id.")
    if unverified.get("sub") != unverified["iss"]:
        raise invalid_grant("iss and sub of the client assertion must both be the client id.")
    key = _key(await _jwks(sandbox, client), header.get("kid"))
    claims = _verified(assertion, key, sandbox.settings.audience or sandbox.token_url)
    _check_times(sandbox, claims)


def _verified(assertion: str, key: jwt.PyJWK, audience: str) -> dict[str, Any]:
    """Verify signature and audience and return the claims; `_check_times` checks the times by the sandbox's clock."""
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "jti", "aud"]}
    try:
        claims: dict[str, Any] = jwt.decode(assertion, key, ["RS384"], audience=audience, options=options)
    except jwt.InvalidSignatureError:
        raise invalid_client("The client assertion's signature does not match the key in the JWKS.") from None
    except jwt.InvalidAudienceError:
        raise invalid_grant("aud of the client assertion must be the token URL.") from None
    except jwt.MissingRequiredClaimError as missing:
        raise invalid_grant(f"The client assertion has no {missing.claim}.") from None
    except jwt.PyJWTError:
        raise invalid_grant("The client assertion is malformed.") from None
    return claims


def _check_times(sandbox: Sandbox, claims: Mapping[str, Any]) -> None:
    now, expires, jti = sandbox.clock.now(), claims["exp"], claims["jti"]
    if not isinstance(expires, int | float) or not isinstance(jti, str) or not jti:
        raise invalid_grant("The client assertion is malformed.")
    if expires <= now:
        raise invalid_grant("The client assertion has expired.")
    if expires > now + _AHEAD + _SKEW:
        raise invalid_grant("exp of the client assertion is more than 5 minutes ahead.")
    for old in [each for each, until in sandbox.used_jti.items() if until < now]:
        del sandbox.used_jti[old]
    if jti in sandbox.used_jti:
        raise invalid_grant("jti of the client assertion was used before.")
    sandbox.used_jti[jti] = expires


async def _jwks(sandbox: Sandbox, client: Client) -> dict[str, Any]:
    url, allowed = client.jwks_url, sandbox.settings.listed("allow_list")
    if "*" not in allowed and url not in allowed and urlsplit(url).netloc not in allowed:
        raise invalid_client("The JWKS URL of this client is not allow-listed.")
    try:
        answer = (await sandbox.http.get(url)).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        raise invalid_client("The JWKS could not be retrieved from the registered URL.") from None
    if not isinstance(answer, dict):
        raise invalid_client("The JWKS could not be retrieved from the registered URL.")
    return answer


def _key(jwks: Mapping[str, Any], key_id: str | None) -> jwt.PyJWK:
    for each in jwks.get("keys", []):
        if each.get("kid") == key_id and key_id:
            try:
                return jwt.PyJWK(each, "RS384")
            except jwt.PyJWTError:
                raise invalid_client("The key in the JWKS is not an RSA public key.") from None
    raise invalid_client("kid of the client assertion is not in the JWKS.")


def _scopes(settings: Settings, text: str) -> frozenset[str]:
    scopes = text.split()
    if not scopes:
        raise OAuthError("invalid_request", "scope is mandatory.")
    if settings.profile == "fhir":
        unknown = [scope for scope in scopes if not _SMART_SCOPE.fullmatch(scope)]
    else:
        unknown = [scope for scope in scopes if scope not in known_scopes(settings)]
    if unknown:
        raise invalid_grant(f"Bad or unknown scope: {', '.join(unknown)}.")
    return frozenset(scopes)

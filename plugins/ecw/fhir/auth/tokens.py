"""Access tokens: SMART Backend Services (RFC 7523 client assertions, RS384), or a client secret with HTTP Basic."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any

import jwt
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth

from ecw.errors import ServerUnavailable
from ecw.fhir.auth.discovery import discover_token_url
from ecw.fhir.auth.token_errors import refusal_of
from ecw.fhir.connection import EcwSettings
from ecw.fhir.keys.private_key import parsed
from ecw.fhir.responses import json_of
from ecw.fhir.transport import Transport

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 240  # eCW accepts at most 300; the difference allows for clock skew
TOKEN = re.compile(r"[\x21-\x7e]{1,32768}")  # the characters of RFC 6750, 2.1
MARGIN_SECONDS = 30.0  # a token is renewed so many seconds before it expires: a read takes 2 to 5 s


class Purpose(StrEnum):
    """The use of a token.  Each use has its own scopes: with a Group scope, eCW refuses reads of single patients."""

    READ = "read"
    WRITE = "write"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token: its value, when it stops being usable (on the monotonic clock), and its granted scopes."""

    value: str = field(repr=False)
    good_until: float
    scopes: tuple[str, ...]


class Tokens:
    """One token per purpose. It is fetched when it is needed; all threads share it and its renewal."""

    def __init__(
        self, settings: EcwSettings, transport: Transport, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self._transport = transport
        self._clock = clock
        self._lock = Lock()
        self._tokens: dict[Purpose, Token] = {}
        self._token_url = settings.token_url

    def token(self, purpose: Purpose) -> Token:
        """Return a token that is still valid for some seconds.

        Raises AuthenticationError, ConfigurationError, ServerUnavailable, RateLimited.
        """
        with self._lock:
            held = self._tokens.get(purpose)
            if held is None or self._clock() >= held.good_until:
                held = self._tokens[purpose] = self._fetch(purpose)
            return held

    def forget(self, purpose: Purpose, refused: str | None) -> None:
        """Drop the token if its header is the `refused` one: another thread may have renewed it already."""
        with self._lock:
            held = self._tokens.get(purpose)
            if held is not None and refused == f"Bearer {held.value}":
                del self._tokens[purpose]

    def token_url(self) -> str:
        """Return the URL of the token endpoint, discovered once."""
        with self._lock:
            return self._endpoint()

    def _endpoint(self) -> str:
        if self._token_url is None:
            self._token_url = discover_token_url(self.settings.base_url, self._transport)
        return self._token_url

    def _fetch(self, purpose: Purpose) -> Token:
        settings, url = self.settings, self._endpoint()
        scopes = scopes_for(settings, purpose)
        form = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
        basic = None
        if settings.private_key:
            form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(settings, url)}
        else:
            basic = HTTPBasicAuth(settings.client_id, settings.client_secret or "")
        requested_at = self._clock()
        response = self._transport.send("POST", url, data=form, auth=basic, headers={"Accept": "application/json"})
        if response.status_code != 200:
            raise refusal_of(response, settings, scopes)
        body = json_of(response)
        try:
            lifetime, value = float(body.get("expires_in", 300)), body["access_token"]
            if not 0 < lifetime < math.inf or not isinstance(value, str) or not TOKEN.fullmatch(value):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ServerUnavailable(
                f"POST {url} answered HTTP 200 without a usable token.",
                next_step="try again; check token_url if it happens again.",
            ) from None
        return Token(
            value=value,
            good_until=requested_at + max(lifetime - MARGIN_SECONDS, lifetime / 2),
            scopes=tuple(str(body.get("scope") or " ".join(scopes)).split()),
        )


class Bearer(AuthBase):
    """Put the token of a purpose into a request, when the request is prepared."""

    def __init__(self, tokens: Tokens, purpose: Purpose) -> None:
        self.tokens = tokens
        self.purpose = purpose

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.tokens.token(self.purpose).value}"
        return request


def scopes_for(settings: EcwSettings, purpose: Purpose) -> tuple[str, ...]:
    """Return the scopes to request."""
    return {
        Purpose.READ: settings.read_scopes,
        Purpose.WRITE: settings.write_scopes,
        Purpose.BULK: settings.bulk_scopes,
    }[purpose]


def assertion(settings: EcwSettings, token_url: str) -> str:
    """Sign a client assertion (RFC 7523, 3) as eCW requires it: RS384, `typ`, `kid`, valid for 5 minutes at most."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": settings.client_id,
        "sub": settings.client_id,
        "aud": settings.audience or token_url,
        "jti": str(uuid.uuid4()),
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    headers = {"typ": "JWT", "kid": settings.key_id}
    return jwt.encode(claims, parsed(settings.private_key or ""), algorithm="RS384", headers=headers)

"""Check that the connection's private key belongs to the published JWKS (RFC 7517)."""

from __future__ import annotations

from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from ecw.errors import ConfigurationError, KeyNotPublished, RetryableError
from ecw.fhir.connection import EcwSettings
from ecw.fhir.keys.private_key import parsed
from ecw.fhir.transport import Transport


def check_published(settings: EcwSettings, transport: Transport) -> None:
    """Fetch the JWKS and compare its key with the connection's; do nothing without a key or a JWKS URL.

    The request does not go to eCW and needs no permit.

    Raises KeyNotPublished naming the difference, ConfigurationError if the URL has no JWKS.
    """
    if settings.jwks_url is None or settings.private_key is None:
        return
    published = {key.get("kid"): key for key in _keys(settings.jwks_url, transport)}
    if settings.key_id not in published:
        raise KeyNotPublished(
            f"The JWKS at {settings.jwks_url} has no key with the connection's key_id {settings.key_id!r}; "
            f"it has: {', '.join(repr(kid) for kid in published) or 'none'}.",
            next_step="put the right `kid` into key_id, or publish the key with that `kid`.",
        )
    own = parsed(settings.private_key)
    try:
        published_key = RSAAlgorithm.from_jwk(published[settings.key_id])
    except (InvalidKeyError, ValueError, TypeError, KeyError):
        published_key = None
    if isinstance(published_key, RSAPrivateKey):
        raise KeyNotPublished(
            f"The JWKS at {settings.jwks_url} publishes the private key {settings.key_id!r} itself.",
            next_step="make a new key pair, publish its public half only, and have the app's registration changed.",
        )
    if not isinstance(published_key, RSAPublicKey) or own.public_key() != published_key:
        raise KeyNotPublished(
            f"The connection's private_key is not the one published as {settings.key_id!r} at {settings.jwks_url}.",
            next_step="use the private key that belongs to the published one, or publish this key's public half.",
        )


def _keys(url: str, transport: Transport) -> list[dict[str, Any]]:
    move = "publish the JWKS there, or leave jwks_url empty if only eCW can reach that address."
    try:
        response = transport.send("GET", url, counted=False)
    except RetryableError as error:
        raise ConfigurationError(f"The JWKS cannot be reached. {error.what}", next_step=move) from None
    if response.status_code != 200:
        raise ConfigurationError(f"The JWKS at {url} answered HTTP {response.status_code}.", next_step=move)
    try:
        keys = orjson.loads(response.content)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        keys = None
    if not isinstance(keys, list):
        raise ConfigurationError(f'The answer of {url} is not a JWKS ({{"keys": […]}}).', next_step=move)
    return [key for key in keys if isinstance(key, dict)]

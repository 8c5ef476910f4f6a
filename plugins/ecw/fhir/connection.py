"""The Airflow connection of type `ecw`: the URL of the practice's API, and the credentials.

host    the whole FHIR base URL, with the practice code; a server that is not eCW's may have no code
login   the client id
extra   private_key (or the connection's password), key_id, jwks_url, client_secret, scopes, write_scopes,
        bulk_scopes, token_url, audience, file_urls, calls_per_minute, timeout;
        and HttpHook's: proxies, verify, cert, trust_env
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self
from urllib.parse import SplitResult, urlsplit

from ecw.errors import ConfigurationError
from ecw.resources import RESOURCES

# eCW accepts only `.r` for Coverage.
READ_SCOPES = tuple(
    f"system/{row.fhir_type}.{'r' if row.fhir_type == 'Coverage' else 'read'}" for row in RESOURCES.values()
)
WRITE_SCOPES = ("system/Patient.c", "system/Patient.u")
GROUP_SCOPE = "system/Group.read"
BASE_URL_FORM = "https://<host>/fhir/r4/<practice code>"
LONGEST_CODE = 64  # characters
ECW_HOSTS = (".eclinicalworks.com", ".ecwcloud.com")  # their base URLs end in a practice code
NO_CODES = frozenset(
    {"fhir", "r4", "r4b", "baser4", "fhir_r4", "fhir-r4"}
)  # last segments that are not a practice code
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class AirflowConnection(Protocol):
    """The part of Airflow's Connection that is read here."""

    host: str | None
    login: str | None
    password: str | None
    port: int | None
    schema: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class EcwSettings:
    """The checked fields of a connection."""

    base_url: str  # without a slash at its end
    client_id: str
    private_key: str | None = field(default=None, repr=False)  # PEM text
    key_id: str | None = None
    jwks_url: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_url: str | None = None
    audience: str | None = None
    file_urls: tuple[str, ...] = ()  # further URLs at which the status and the files of an export may be
    read_scopes: tuple[str, ...] = READ_SCOPES
    write_scopes: tuple[str, ...] = WRITE_SCOPES
    bulk_scopes: tuple[str, ...] = (GROUP_SCOPE, *READ_SCOPES)
    calls_per_minute: int = 250
    timeout: float | None = None  # seconds without an answer; the same field as HttpHook's

    @property
    def practice(self) -> str:
        """The practice code."""
        return practice_of(self.base_url)

    @classmethod
    def from_connection(cls, conn: AirflowConnection) -> Self:
        """Read and check a connection, without network access.

        Raises ConfigurationError naming the field and its correct content.
        """
        from ecw.fhir.keys.private_key import (
            read_private_key,
        )  # imports cryptography; most commands need only the base URL

        extra = conn.extra_dejson
        if conn.port or conn.schema:
            raise _wrong(
                "port or schema", "is filled", f"put the whole {BASE_URL_FORM} into the host field (Base URL)."
            )
        base_url = _base_url(conn.host or "")
        _tls_checked(base_url, extra)
        if not conn.login:
            raise _wrong("login (Client id)", "is empty", "put the client id of the app registered with eCW into it.")
        key, secret = _key_or_secret(extra, conn.password)
        read_scopes = _scopes_without_group(extra, "scopes", READ_SCOPES)
        write_scopes = _scopes_without_group(extra, "write_scopes", WRITE_SCOPES)
        return cls(
            base_url=base_url,
            client_id=conn.login,
            private_key=read_private_key(key) if key else None,
            key_id=_text(extra, "key_id"),
            jwks_url=_url(extra, "jwks_url"),
            client_secret=secret,
            token_url=_url(extra, "token_url"),
            audience=_text(extra, "audience"),
            file_urls=_urls(extra, "file_urls"),
            read_scopes=read_scopes,
            write_scopes=write_scopes,
            bulk_scopes=_scopes(extra, "bulk_scopes", (GROUP_SCOPE, *read_scopes)),
            calls_per_minute=_quota(extra),
            timeout=_timeout(extra),
        )


def practice_of(base_url: str) -> str:
    """Return the practice code, with which every key begins: the last segment of the base URL.

    If the base URL has no path or ends in /fhir, /R4 or another of NO_CODES, the host is the practice code.
    """
    parts = urlsplit(base_url)
    segments = [segment for segment in parts.path.split("/") if segment]
    if segments and segments[-1].lower() not in NO_CODES:
        return segments[-1]
    own = [segment for segment in segments if segment.lower() not in NO_CODES]
    name = "-".join([parts.hostname or "", *([str(parts.port)] if parts.port else []), *own])
    if len(name) <= LONGEST_CODE:
        return name
    return f"{name[: LONGEST_CODE - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def is_safe(url: str) -> bool:
    """Return True if secrets may be sent to a URL: https, or http to this machine itself."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def base_url_of(conn: AirflowConnection) -> str:
    """Return the base URL of a connection: server and practice code.

    Raises ConfigurationError if the host field is not such a URL.
    """
    return _base_url(conn.host or "")


def unchecked(url: str, verify: Any) -> bool:
    """Return True if `verify` switches off the check of the server's certificate and the server is another machine.

    HttpHook ignores null; for requests every other false value means no check.
    """
    off = verify is not None and (not verify or str(verify).strip().lower() in ("false", "0", "no", "off", ""))
    return off and urlsplit(url).hostname not in LOOPBACK


def _key_or_secret(extra: Mapping[str, Any], password: str | None) -> tuple[str | None, str | None]:
    """Return the private key and the client secret; exactly one of them is not None."""
    key, secret = _text(extra, "private_key") or password, _text(extra, "client_secret")
    if not key and not secret:
        raise _wrong("private_key", "is empty, and so is client_secret", "fill one of the two.")
    if key and secret:
        raise _wrong("client_secret", "is filled, and so is private_key", "keep the one the app is registered with.")
    if key and not _text(extra, "key_id"):
        raise _wrong("key_id", "is empty", "put the `kid` of the public key in the registered JWKS into it.")
    return key, secret


def _tls_checked(base_url: str, extra: Mapping[str, Any]) -> None:
    """Raise ConfigurationError if the certificate check is off; HttpHook accepts both names of the field."""
    for name in ("verify", "verify_ssl"):
        if unchecked(base_url, extra.get(name)):
            raise _wrong(
                name,
                "switches the check of eCW's certificate off",
                "remove the field; behind a TLS-inspecting proxy, put the path of its CA bundle into it.",
            )


def _base_url(value: str) -> str:
    url = value.strip().rstrip("/")
    name = "host (Base URL)"
    move = f"put {BASE_URL_FORM} into it."
    if not is_url(url):
        raise _wrong(name, "is not a URL", move)
    if not is_safe(url):
        raise _wrong(name, "begins with http://, which would send the token in the clear", "begin it with https://.")
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise _wrong(name, "has a user, a query or a fragment", move)
    segments = [segment for segment in parts.path.split("/") if segment]
    if (parts.hostname or "").endswith(ECW_HOSTS) and (not segments or segments[-1].lower() in NO_CODES):
        raise _wrong(name, "has no practice code", move)
    if segments and segments[-1] in {"metadata", "smart-configuration"}:
        raise _wrong(name, f"ends in {segments[-1]}", f"cut it after the practice code: {BASE_URL_FORM}.")
    return _one_spelling(parts)


def _one_spelling(parts: SplitResult) -> str:
    """Return the URL in its normal form for comparison: host in lower case, no default port."""
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def is_url(value: str) -> bool:
    """Return True if this is an absolute http or https URL."""
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not any(c.isspace() for c in value)


def _url(extra: Mapping[str, Any], name: str) -> str | None:
    url = _text(extra, name)
    if url is not None and not (is_url(url) and is_safe(url)):
        raise _wrong(
            name, "is not a URL that begins with https://", "put the whole address into it, or leave it empty."
        )
    return url


def _urls(extra: Mapping[str, Any], name: str) -> tuple[str, ...]:
    urls = tuple((_text(extra, name) or "").replace(",", " ").split())
    for url in urls:
        parts = urlsplit(url) if is_url(url) else None
        if parts is None or not is_safe(url) or parts.query or parts.fragment or parts.username or parts.password:
            move = "put URLs into it, such as https://files.example.org/exports, with spaces between them."
            raise _wrong(name, "holds something other than URLs that begin with https://", move)
    return urls


def _text(extra: Mapping[str, Any], name: str) -> str | None:
    value = extra.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, f"is not text but {type(value).__name__}", "put text into it, or leave it empty.")
    return (value or "").strip() or None


def _scopes(extra: Mapping[str, Any], name: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    return tuple((_text(extra, name) or "").split()) or usual


def _scopes_without_group(extra: Mapping[str, Any], name: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    scopes = _scopes(extra, name, usual)
    if any("/Group." in scope for scope in scopes):
        raise _wrong(name, "holds a Group scope, which only exports may have", "move it to bulk_scopes.")
    return scopes


def _quota(extra: Mapping[str, Any]) -> int:
    try:
        quota = int(extra.get("calls_per_minute") or 250)
    except (TypeError, ValueError):
        quota = 0
    if quota < 1:
        raise _wrong(
            "calls_per_minute", "is not a whole number above 0", "put the practice's quota into it: eCW's is 250."
        )
    return quota


def _timeout(extra: Mapping[str, Any]) -> float | None:
    timeout = extra.get("timeout")
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        raise _wrong("timeout", "is not a number of seconds above 0", "put one into it, or leave it out: 60 is usual.")
    return float(timeout)


def _wrong(name: str, how: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(f"The connection's field {name} {how}.", next_step=next_step)

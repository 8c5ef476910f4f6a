"""Links made by the server: known errors of eCW are fixed, links to another server are refused."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urljoin, urlsplit, urlunsplit

from ecw.errors import InvalidResponse

NAME = re.compile(
    r"^(?!_?[a-z][A-Za-z]{0,30}([:.-][A-Za-z]{1,20})*$).*$", re.DOTALL
)  # matches what is not a parameter name


def pinned(
    link: str, base_url: str, unsupported: Collection[str] = (), *, page: str = "", also: Collection[str] = ()
) -> str:
    """Return the URL of a link, safe to call with the practice's token.

    eCW writes `http://` into links of https answers: the base URL's scheme and port are restored. The `unsupported`
    parameters are removed: the server puts them into its links but refuses them in requests (`_count`). A relative
    link, or a query alone, is resolved against the `page` that holds it (RFC 3986, 5.2), else against the base URL. The
    link may also lead to a URL under one of `also`, which the connection allows.

    Raises InvalidResponse for a link to another host or another practice.
    """
    parts = _split(link.replace("&amp;", "&"), page or f"{base_url}/")
    allowed = [urlsplit(url.rstrip("/")) for url in (base_url, *also)]
    base = next((url for url in allowed if parts and _same_server(parts, url) and _inside(parts.path, url.path)), None)
    if parts is None or base is None:
        # The message does not quote the link: a URL made by the server is free text of the server.
        raise InvalidResponse(
            f"The server's answer links to a URL {_where_to(parts, allowed[0])}, outside {base_url}.",
            next_step="compare the base URL of the connection with the practice's own. If it is right, and the server "
            "is known to keep its exports elsewhere, put that address into the connection's extra field file_urls.",
        )
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in unsupported]
    query = parts.query if len(kept) == len(parse_qsl(parts.query, keep_blank_values=True)) else urlencode(kept)
    return urlunsplit((base.scheme, base.netloc, parts.path, query, ""))


def parameters(link: str) -> set[str]:
    """Return the names of the link's parameters."""
    parts = _split(link)
    return {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} if parts else set()


def parameter(link: str, name: str) -> str:
    """Return the value of one of the link's parameters; "" without such a parameter."""
    parts = _split(link)
    return dict(parse_qsl(parts.query)).get(name, "") if parts else ""


def without_values(url: str) -> str:
    """Return the URL for a log: without the values of its parameters, which can be names and dates of birth."""
    parts = _split(url)
    if parts is None:
        return "(not a URL)"
    # In a link made by the server, the place of a parameter name may hold any text, too.
    names = "&".join(NAME.sub("…", name) for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, names, ""))


def _split(link: str, base: str = "") -> SplitResult | None:
    try:
        parts = urlsplit(urljoin(base, link))
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError:
        return None
    return parts


def _where_to(parts: SplitResult | None, base: SplitResult) -> str:
    if parts is None:
        return "that is not valid"
    if parts.hostname != base.hostname:
        return "on another host"
    return (
        "on the same host, with another path"
        if _same_server(parts, base)
        else "on the same host, with another scheme or port"
    )


def _same_server(parts: SplitResult, base: SplitResult) -> bool:
    if parts.username or parts.password or parts.hostname != base.hostname or parts.scheme not in {"http", "https"}:
        return False
    if parts.scheme == "http" and base.scheme == "https":
        return parts.port in {None, 80, base.port}
    return parts.scheme == base.scheme and _port(parts) == _port(base)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _inside(path: str, base_path: str) -> bool:
    inside = path == base_path or path.startswith(f"{base_path}/")
    return inside and ".." not in unquote(path).replace("\\", "/").split("/")

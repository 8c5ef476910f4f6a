"""Links that the server made: fixed where eCW is known to be wrong, refused where they lead elsewhere."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urljoin, urlsplit, urlunsplit

from ecw.errors import InvalidResponse

NAME = re.compile(r"^(?!_?[a-z][A-Za-z]{0,30}([:.-][A-Za-z]{1,20})*$).*$", re.DOTALL)  # what is no parameter's name


def pinned(
    link: str, base_url: str, unsupported: Collection[str] = (), *, page: str = "", also: Collection[str] = ()
) -> str:
    """Return the link as it may be called with the practice's token.

    eCW writes `http://` into links of https answers: the base URL's scheme and port are restored. Parameters
    that the server puts into its links but refuses in requests (`_count`) are left out. A relative link, or a query
    alone, belongs to the `page` that it stands on (RFC 3986, 5.2), else to the base URL. `also` are other URLs that the
    connection allows: the link may lead to what lies under one of them.

    Raises InvalidResponse for a link to another host or another practice.
    """
    parts = _split(link.replace("&amp;", "&"), page or f"{base_url}/")
    allowed = [urlsplit(url.rstrip("/")) for url in (base_url, *also)]
    base = next((url for url in allowed if parts and _same_server(parts, url) and _inside(parts.path, url.path)), None)
    if parts is None or base is None:
        # Where it leads is not said: an address that the server made is a text of the server's.
        raise InvalidResponse(
            f"The server's answer goes on {_where_to(parts, allowed[0])}, outside {base_url}.",
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
    """Return the value of one of the link's parameters, an empty text where it has none of that name."""
    parts = _split(link)
    return dict(parse_qsl(parts.query)).get(name, "") if parts else ""


def without_values(url: str) -> str:
    """Return the URL for a log: parameter names without their values, which can be names and dates of birth."""
    parts = _split(url)
    if parts is None:
        return "(not a URL)"
    # A link that the server made may say anything in the place of a name, too.
    names = "&".join(NAME.sub("…", name) for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, names, ""))


def _split(link: str, base: str = "") -> SplitResult | None:
    try:
        parts = urlsplit(urljoin(base, link))
        _ = parts.port  # a port that is not a number is found only here
    except ValueError:
        return None
    return parts


def _where_to(parts: SplitResult | None, base: SplitResult) -> str:
    if parts is None:
        return "at what is not a URL"
    if parts.hostname != base.hostname:
        return "on another host"
    return "on the same host, in another place" if _same_server(parts, base) else "on the same host, in another way"


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

"""Literal references: the record that one names.

    [base/]Type/id[/_history/version]     names Type/id of that base: https://hl7.org/fhir/R4/references.html#literal

Everything else names no record that could be fetched: `#contained`, `urn:uuid:…`, a search (`Type?identifier=…`), an
id without its type, a URL with another ending.
"""

from __future__ import annotations

import re

_LITERAL = re.compile(
    r"(?:(?P<base>[a-z]+://.+)/)?(?P<record>[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?/?\Z"
)
_SCHEME = re.compile(r"[a-z]+://")


def record_of(reference: object, base_url: str | None = None) -> str | None:
    """Return the `FhirType/id` that a reference names, or None.

    With the practice's `base_url`, a record of another server gives None: its ids name other records here. eCW writes
    `http://` into answers to https calls, with other hosts than the API's: so the path after the host is compared.
    """
    found = _LITERAL.match(reference) if type(reference) is str else None
    if found is None:
        return None
    base = found["base"]
    if base is not None and base_url is not None and not _same_base(base, base_url):
        return None
    return found["record"]


def _same_base(base: str, base_url: str) -> bool:
    one, other = (_SCHEME.sub("", url).rstrip("/") for url in (base, base_url))
    if one.lower() == other.lower():
        return True
    # https://host/fhir/r4/PRACTICE: the path ends in the practice code, which is unique.
    path, other_path = (url.partition("/")[2] for url in (one, other))
    return path.count("/") >= 2 and path == other_path

"""Literal references: which record does one name?

    [base/]Type/id[/_history/version]     names Type/id of that base: https://hl7.org/fhir/R4/references.html#literal

Everything else names none that could be looked up: `#contained`, `urn:uuid:…`, a search (`Type?identifier=…`), an id
without its type, a URL that ends in something else.
"""

from __future__ import annotations

import re

_LITERAL = re.compile(
    r"(?:(?P<base>[a-z]+://.+)/)?(?P<record>[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?/?\Z"
)
_SCHEME = re.compile(r"[a-z]+://")


def record_of(reference: object, base_url: str | None = None) -> str | None:
    """Return `FhirType/id` of the record that a reference names, or None.

    With the practice's `base_url`, a record of another server is none: its ids mean others here. eCW writes `http://`
    although the call was https, and its hosts differ between the API's and its answers': the path after them decides.
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
    # https://host/fhir/r4/PRACTICE: the practice's code stands at the end, and no other practice has it.
    path, other_path = (url.partition("/")[2] for url in (one, other))
    return path.count("/") >= 2 and path == other_path

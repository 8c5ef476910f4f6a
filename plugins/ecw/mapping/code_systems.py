"""Names of code systems: one system can appear under its current URL, an older URL, or its OID.

https://terminology.hl7.org/codesystems.html and https://www.hl7.org/oid/ have the pairs.
"""

from __future__ import annotations

import re
from functools import lru_cache

_OIDS = {
    # HL7 version 3
    "2.16.840.1.113883.5.1": "v3-AdministrativeGender",
    "2.16.840.1.113883.5.2": "v3-MaritalStatus",
    "2.16.840.1.113883.5.4": "v3-ActCode",
    "2.16.840.1.113883.5.50": "v3-Ethnicity",
    "2.16.840.1.113883.5.90": "v3-ParticipationType",
    "2.16.840.1.113883.5.104": "v3-Race",
    "2.16.840.1.113883.5.111": "v3-RoleCode",
    "2.16.840.1.113883.5.1008": "v3-NullFlavor",
    # HL7 version 2: the OID of the table, and of its code system
    "2.16.840.1.113883.12.1": "v2-0001",
    "2.16.840.1.113883.12.2": "v2-0002",
    "2.16.840.1.113883.12.5": "v2-0005",
    "2.16.840.1.113883.12.189": "v2-0189",
    "2.16.840.1.113883.12.203": "v2-0203",
    "2.16.840.1.113883.18.2": "v2-0001",
    "2.16.840.1.113883.18.179": "v2-0002",
    "2.16.840.1.113883.18.108": "v2-0203",
}
# Other names of one system. HL7 copied two parts of CDC's race and ethnicity, with their codes, as own systems.
_SAME = {
    "v3-Race": "urn:oid:2.16.840.1.113883.6.238",
    "v3-Ethnicity": "urn:oid:2.16.840.1.113883.6.238",
    "CDCREC": "urn:oid:2.16.840.1.113883.6.238",
    "marital-status": "v3-MaritalStatus",
    "urn:oid:2.16.840.1.113883.6.121": "urn:ietf:bcp:47",  # RFC 3066
    "urn:oid:2.16.840.1.113883.6.99": "urn:ietf:bcp:47",  # ISO 639-1
    "urn:oid:2.16.840.1.113883.6.100": "urn:ietf:bcp:47",  # ISO 639-2
    "urn:oid:1.0.639.1": "urn:ietf:bcp:47",
    "urn:oid:1.0.639.2": "urn:ietf:bcp:47",
    "urn:iso:std:iso:639:-1": "urn:ietf:bcp:47",
    "urn:iso:std:iso:639:-2": "urn:ietf:bcp:47",
    "http://hl7.org/fhir/sid/iso-639-1": "urn:ietf:bcp:47",
    "http://hl7.org/fhir/sid/iso-639-2": "urn:ietf:bcp:47",
    "iso639-2": "urn:ietf:bcp:47",
    "languages": "urn:ietf:bcp:47",
    "urn:oid:2.16.840.1.113883.3.221.5": "http://nahdo.org/sopt",
    "http://www.nahdo.org/sopt": "http://nahdo.org/sopt",
    "http://phdsc.org/standards/payer-typology.asp": "http://nahdo.org/sopt",
    "http://www.phdsc.org/standards/payer-typology.asp": "http://nahdo.org/sopt",
    "policyholder-relationship": "subscriber-relationship",
}
_OID = re.compile(r"(?:urn:oid:)?([0-2](?:\.(?:0|[1-9][0-9]*))+)\Z")
# HL7's own URLs: of R4 and later, of STU3 and DSTU2 (`/v3/MaritalStatus`, `/v2/0002`), and those under hl7.org/fhir.
_OWN = re.compile(
    r"http://(?:terminology\.hl7\.org|(?:www\.)?hl7\.org/fhir)/(?:CodeSystem/)?(?:(v[23])[/-])?([^/?#]+)\Z"
)


@lru_cache(maxsize=4096)
def canonical(system: str) -> str:
    """Return the canonical name of a code system: equal for all its URLs and OIDs."""
    name = system.strip().partition("|")[0].rstrip("/")
    if name.startswith("https://"):
        name = f"http://{name[8:]}"
    if found := _OID.match(name):
        name = _OIDS.get(found[1], f"urn:oid:{found[1]}")
    elif found := _OWN.match(name):
        name = f"{found[1]}-{found[2]}" if found[1] else found[2]
    return _SAME.get(name, name)

"""When eCW refuses a patient, and with which of its own codes.

The codes are from eCW's reference. It does not define these details, so the sandbox does: which characters (108, 614),
which length (109), which code systems (102), which extensions (132 birth sex, 151 race, 152 ethnicity).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from include.sandbox.population import US_CORE, Resource
from include.sandbox.sandbox import Sandbox

TAKEN = (
    "active", "address", "birthDate", "communication", "contact", "deceasedBoolean", "deceasedDateTime", "extension",
    "gender", "generalPractitioner", "maritalStatus", "name", "telecom",
)  # fmt: skip
_GENDERS = ("male", "female", "unknown")
_SYSTEMS = {
    "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
    "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    "urn:ietf:bcp:47",
    "urn:oid:2.16.840.1.113883.6.238",
}
_ODD = re.compile(r"[<>{}|^~\\\x00-\x1f]")
_BEYOND = re.compile(r"[^\u0000-\uffff]")  # emoji and the like
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_LONGEST = 100


def create_code(sandbox: Sandbox, patient: Resource) -> int:
    """Return 1 to accept this new patient, or the code that refuses it."""
    if code := _invalid(sandbox, patient):
        return code
    same = list(_same_account(sandbox, account_number(patient), patient["birthDate"]))
    return 1 if not same else 202 if len(same) == 1 else 201


def update_code(sandbox: Sandbox, patient: Resource, url: str) -> int:
    """Return 1 to accept this update, or the code that refuses it; `url` is the entry's request.url."""
    in_url = url.removeprefix("Patient").removeprefix("/")
    if sandbox.settings.update_by == "url" and not in_url:
        return 100
    ecw_id = patient.get("id", "") or in_url
    if not _ID.fullmatch(ecw_id):
        return 165
    if in_url and in_url != ecw_id:
        return 608
    stored = sandbox.store["Patient"].get(ecw_id)
    if stored is None:
        return 100
    if code := _invalid(sandbox, patient):
        return code
    if not stored.get("identifier"):
        return 1  # a patient that was stored without an account number gets one
    own = {ecw_id, account_number(stored)}
    return 1 if {each.get("value") for each in patient["identifier"]} <= own else 608


def account_number(patient: Resource) -> str:
    """Return the `secondary` identifier, otherwise the first: a create may send its account number as `usual`."""
    identifiers = patient["identifier"]
    return str(next((each for each in identifiers if each.get("use") == "secondary"), identifiers[0])["value"])


def _invalid(sandbox: Sandbox, patient: Resource) -> int:
    """Return the first code that refuses the content, 0 if the content is valid."""
    if not sandbox.settings.write_back:
        return 308
    if patient.get("resourceType") != "Patient":
        return 203
    identifiers = patient.get("identifier") or [{}]
    if not all(each.get("system") and each.get("value") for each in identifiers):
        return 605
    if not any(
        name.get("use", "usual") == "usual" and name.get("family") and any(name.get("given", []))
        for name in patient.get("name", [])
    ):
        return 118
    if patient.get("gender") not in _GENDERS:
        return 117
    return _birth_date(sandbox, patient) or _texts(patient) or _codes(patient) or _references(sandbox, patient)


def _birth_date(sandbox: Sandbox, patient: Resource) -> int:
    born = patient.get("birthDate")
    if not born:
        return 119
    if not _DAY.fullmatch(born):
        return 204
    try:
        return 119 if date.fromisoformat(born) > sandbox.clock.utc().date() else 0
    except ValueError:
        return 119


def _texts(patient: Resource) -> int:
    parts = {name: patient.get(name, []) for name in ("name", "address", "telecom")}
    for text in _strings(parts):
        if len(text) > _LONGEST:
            return 109
        if _ODD.search(text):
            return 108
        if _BEYOND.search(text):
            return 614
    return 0


def _codes(patient: Resource) -> int:
    codings = [*patient.get("maritalStatus", {}).get("coding", [])]
    for each in patient.get("communication", []):
        codings += each.get("language", {}).get("coding", [])
    for extension in patient.get("extension", []):
        part = extension.get("url", "").removeprefix(f"{US_CORE}/")
        if part == "us-core-birthsex" and extension.get("valueCode") not in ("F", "M", "UNK"):
            return 132
        if part in ("us-core-race", "us-core-ethnicity"):
            parts = extension.get("extension", [])
            if not any(each.get("url") == "text" for each in parts):
                return 151 if part == "us-core-race" else 152
            codings += [each["valueCoding"] for each in parts if "valueCoding" in each]
    return 102 if any(coding.get("system") not in _SYSTEMS for coding in codings) else 0


def _references(sandbox: Sandbox, patient: Resource) -> int:
    doctors = [each.get("reference", "") for each in patient.get("generalPractitioner", [])]
    facilities = [
        extension.get("valueReference", {}).get("reference", "")
        for extension in patient.get("extension", [])
        if extension.get("url", "").endswith("/defaultFacility")
    ]
    for code, kind, references in ((101, "Practitioner", doctors), (107, "Location", facilities)):
        for reference in references:
            if sandbox.store[kind].get(reference.removeprefix(f"{kind}/")) is None:
                return code
    return 0


def _same_account(sandbox: Sandbox, account: str, born: str) -> Iterator[Resource]:
    patients = sandbox.store["Patient"]
    for key in patients.candidates({"identifier": account}):
        patient = patients.at(key)
        if (
            patient
            and patient.get("birthDate") == born
            and patient.get("identifier")
            and account_number(patient) == account
        ):
            yield patient


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for each in node.values():
            yield from _strings(each)
    elif isinstance(node, list):
        for each in node:
            yield from _strings(each)

"""Speed of mapping: parse patients and map them to rows, on one core, with the full patient mapping."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

import orjson

from bench.result import Result
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.fhirpath.paths import fhirpath as as_fhirpath
from ecw.mapping.transform.to_row import Mapper

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "synthea"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
PATIENTS = 20_000
ORACLE_PATIENTS = 60
LEAST_PER_SECOND = 8_000
LEAST_RATIO = 20
PEAK = """
import resource, sys
import orjson
from bench.map_patients import generated
from ecw.mapping.transform.to_row import Mapper
from ecw.mapping.definition.files import load_mapping
mapper = Mapper(load_mapping("patient"))
for line in generated(int(sys.argv[1])):
    mapper.row(orjson.loads(line))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def results() -> list[Result]:
    """Measure patients per second, compared with fhirpathpy on the same paths and with hand-written code."""
    lines = list(islice(cycle([*samples(), *generated(2_000)]), PATIENTS))
    mapper = Mapper(load_mapping("patient"))
    compiled = rate(lines, lambda line: mapper.row(orjson.loads(line)))
    by_hand = rate(lines, lambda line: hand_written(orjson.loads(line)))
    evaluate = fhirpath(mapper)
    fhirpathpy = rate(lines[:ORACLE_PATIENTS], lambda line: evaluate(orjson.loads(line)))
    many, few = peak(100_000), peak(1_000)
    how = f"{PATIENTS} patients, public and generated: parse and {len(mapper.columns)} columns, one core, best of 3"
    return [
        Result(
            name="map_patients_per_s",
            value=round(compiled),
            unit="1/s",
            baseline=LEAST_PER_SECOND,
            ratio=round(compiled / LEAST_PER_SECOND, 2),
            how=f"{how}; the baseline is the requirement",
        ),
        Result(
            name="map_ratio_fhirpathpy",
            value=round(compiled / fhirpathpy, 1),
            unit="times",
            baseline=LEAST_RATIO,
            ratio=round(compiled / fhirpathpy / LEAST_RATIO, 2),
            how=f"fhirpathpy, the same paths compiled once: {fhirpathpy:.0f} patients/s; the baseline is required",
        ),
        Result(
            name="map_ratio_limit",
            value=round(compiled / by_hand, 2),
            unit="times",
            baseline=1,
            ratio=round(compiled / by_hand, 2),
            how=f"the same columns by hand-written code, which checks nothing: {by_hand:.0f} patients/s",
        ),
        Result(
            name="map_peak_mb",
            value=round(many / 1024, 1),
            unit="MB",
            baseline=round(few / 1024, 1),
            ratio=round(many / few, 3),
            how="peak memory of a process that maps 100,000 generated patients; baseline: 1,000",
        ),
    ]


def peak(patients: int) -> int:
    """Return the peak memory, in KB, of a process that maps so many patients."""
    command = [sys.executable, "-c", PEAK, str(patients)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def generated(number: int, seed: int = 7) -> Iterator[bytes]:
    """Yield patients like eCW's, as lines of JSON."""
    random = Random(seed)
    for at in range(number):
        yield orjson.dumps(_patient(random, at))


def samples() -> list[bytes]:
    """Return the public samples next to the project, [] if they do not exist."""
    files = sorted(SHARED.glob("Patient*.ndjson")) if SHARED.is_dir() else []
    return [line for file in files for line in file.read_bytes().splitlines()]


def rate(lines: list[bytes], work: Callable[[bytes], Any]) -> float:
    """Return lines per second of CPU time, the best of three."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        for line in lines:
            work(line)
        best = min(best, time.process_time() - started)
    return len(lines) / best


def fhirpath(mapper: Mapper) -> Callable[[dict[str, Any]], list[Any]]:
    """Return a function that evaluates the mapper's paths with fhirpathpy."""
    import fhirpathpy
    from fhirpathpy.models import models

    paths = [fhirpathpy.compile(as_fhirpath(column.steps), models["r4"]) for column in mapper.columns]
    return lambda resource: [path(resource) for path in paths]


def _patient(random: Random, at: int) -> dict[str, Any]:
    ecw_id = f"{at:043d}"
    system = "urn:oid:2.16.840.1.113883.4.391.326070"
    return {
        "resourceType": "Patient",
        "id": ecw_id,
        "meta": {"lastUpdated": "2026-03-08T03:10:00-04:00", "profile": [f"{CORE}us-core-patient"]},
        "extension": [
            _category("us-core-race", random.choice(["2106-3", "2054-5", "2028-9"])),
            _category("us-core-ethnicity", random.choice(["2135-2", "2186-5"])),
            {"url": f"{CORE}us-core-birthsex", "valueCode": "F"},
        ],
        "identifier": [
            {"use": "usual", "system": system, "value": ecw_id},
            {"use": "secondary", "system": system, "value": str(at)},
        ],
        "active": True,
        "name": [
            {"use": "old", "family": "Shaw", "given": ["Amy"]},
            {"use": "usual", "text": "Baxter Amy", "family": "Baxter", "given": ["Amy,Lou", "V."]},
        ],
        "telecom": [
            {"system": "phone", "use": "home", "value": f"(913) 555-{at % 10_000:04d}"},
            {"system": "phone", "use": "mobile", "value": "913-555-0101"},
            {"system": "email", "value": "amy@example.com"},
        ],
        "gender": random.choice(["male", "female"]),
        "birthDate": f"19{random.randint(20, 99)}-02-20",
        "deceasedDateTime": "1899-12-30T00:00:00-05:00",
        "address": [
            {"use": "home", "line": ["1 A ST", "APT 2"], "city": "TROY", "state": "NY", "postalCode": "121801234"}
        ],
        "maritalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M"}]
        },
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}, "preferred": True}],
        "generalPractitioner": [{"reference": "Practitioner/a-1"}],
    }


def _category(name: str, code: str) -> dict[str, Any]:
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code}
    return {
        "url": f"{CORE}{name}",
        "extension": [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": code}],
    }


_MAPPING = load_mapping("patient")
_WORDS = {name: crosswalk.values for name, crosswalk in _MAPPING.crosswalks.items()}


def hand_written(patient: dict[str, Any]) -> dict[str, Any]:
    """Map a patient with the simplest code for this mapping: the upper limit for the speed of a mapper."""
    names = {name.get("use"): name for name in reversed(patient.get("name", ()))}
    name = names.get(None) or names.get("usual") or names.get("official") or {}
    given = name.get("given", ())
    phones = {
        entry.get("use"): entry.get("value") for entry in patient.get("telecom", ()) if entry["system"] == "phone"
    }
    emails = {
        entry.get("use"): entry.get("value") for entry in patient.get("telecom", ()) if entry["system"] == "email"
    }
    addresses = {entry.get("use"): entry for entry in patient.get("address", ())}
    address = addresses.get("home") or addresses.get(None) or {}
    street = address.get("line", ())
    identifiers = {entry.get("use"): entry["value"] for entry in patient.get("identifier", ())}
    extensions = {entry["url"]: entry for entry in patient.get("extension", ())}
    race = {entry["url"]: entry for entry in extensions.get(f"{CORE}us-core-race", {}).get("extension", ())}
    ethnicity = {entry["url"]: entry for entry in extensions.get(f"{CORE}us-core-ethnicity", {}).get("extension", ())}
    languages = patient.get("communication", ({},))
    language = next((entry for entry in languages if entry.get("preferred")), languages[0])
    died = patient.get("deceasedDateTime")
    marital = patient.get("maritalStatus", {}).get("coding", ({},))[0].get("code")
    spoken = language.get("language", {}).get("coding", ({},))[0].get("code")
    facility = extensions.get("http://eclinicalworks.com/supportingInfo/defaultFacility", {})
    return {
        "ecw_id": patient["id"],
        "active": patient.get("active"),
        "identifier": identifiers.get("usual"),
        "mr_number": identifiers.get("secondary"),
        "last_name": _trim(name.get("family")),
        "first_name": _trim(given[0].replace(",", " ")) if given else None,
        "middle_name": _trim(given[1].replace(",", " ")) if len(given) > 1 else None,
        "suffix": name.get("suffix", (None,))[0],
        "birth_date": patient.get("birthDate"),
        "gender": _WORDS["gender"].get(patient.get("gender", "")),
        "deceased": patient.get("deceasedBoolean"),
        "deceased_on": None if died is None or died.startswith("1899-12-30") else died,
        "marital_status": _WORDS["marital_status"].get(marital, marital),
        "phone": _digits(phones.get("home") or phones.get(None)),
        "mobile_phone": _digits(phones.get("mobile")),
        "work_phone": _digits(phones.get("work")),
        "email": _trim(emails.get("home") or emails.get(None) or emails.get("work")),
        "address_line1": _trim(street[0]) if street else None,
        "address_line2": _trim(street[1]) if len(street) > 1 else None,
        "city": _trim(address.get("city")),
        "state": _trim(address.get("state")),
        "postal_code": _trim(address.get("postalCode")),
        "country": _trim(address.get("country")),
        "language": _WORDS["language"].get(spoken, spoken),
        "ethnicity_detail": ethnicity.get("detailed", {}).get("valueCoding", {}).get("code"),
        "ethnicity": _WORDS["ethnicity"].get(ethnicity.get("ombCategory", {}).get("valueCoding", {}).get("code")),
        "race": _WORDS["race"].get(race.get("ombCategory", {}).get("valueCoding", {}).get("code")),
        "race_detail": race.get("detailed", {}).get("valueCoding", {}).get("display"),
        "birth_sex": _WORDS["birth_sex"].get(extensions.get(f"{CORE}us-core-birthsex", {}).get("valueCode")),
        "gender_identity": extensions.get(f"{CORE}us-core-genderIdentity", {})
        .get("valueCodeableConcept", {})
        .get("text"),
        "default_location": facility.get("valueReference", {}).get("reference"),
        "practitioner": patient.get("generalPractitioner", ({},))[0].get("reference"),
    }


def _trim(text: str | None) -> str | None:
    return text.strip() if text else None


def _digits(text: str | None) -> str | None:
    return "".join(letter for letter in text if letter in "0123456789")[-10:] if text else None

"""The sandbox's search: dates, prefixes, and indexes that find the same as a full comparison."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from include.sandbox.population import Size
from include.sandbox.population.sources import made
from include.sandbox.searching import Matchers, in_time, span

ZONE = ZoneInfo("America/New_York")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2026", "2026-01-01T00:00:00-05:00", "2027-01-01T00:00:00-05:00"),
        ("2026-03", "2026-03-01T00:00:00-05:00", "2026-04-01T00:00:00-04:00"),
        ("2026-03-08", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00"),
        ("2026-03-08T09:00:00", "2026-03-08T09:00:00-04:00", "2026-03-08T09:00:01-04:00"),
        ("2026-03-08T09:00:00Z", "2026-03-08T09:00:00+00:00", "2026-03-08T09:00:01+00:00"),
    ],
)
def test_a_date_is_a_span_in_the_practices_time_zone(text, first, after):
    assert span(text, ZONE) == (seconds(first), seconds(after))


@pytest.mark.parametrize("text", ["", "yesterday", "26-01-01", "2026-13", "2026-02-30", "2026-01-01 10:00"])
def test_an_invalid_date_is_refused(text):
    with pytest.raises(ValueError, match=r"date|month|day|isoformat"):
        span(text, ZONE)


@pytest.mark.parametrize(
    ("value", "matches"),
    [
        ("2026-11-22", True),
        ("ge2026-11-22", True),
        ("gt2026-11-22", False),
        ("le2026-11-22", True),
        ("lt2026-11-22", False),
        ("lt2026-11-23", True),
        ("ge2026-11-23", False),
        ("gt2026-11-22T09:00:00-05:00", True),
        ("2026-11-21", False),
    ],
)
def test_each_prefix_compares_the_span_of_the_date(value, matches):
    low, high = seconds("2026-11-22T09:00:00-05:00"), seconds("2026-11-22T09:45:01-05:00")
    assert in_time(low, high, value, ZONE) is matches


@pytest.mark.parametrize(
    "pairs",
    [
        [("name", "m")],
        [("name", "j")],  # also a second first name of one letter
        [("name", "Mar")],
        [("name", "o'b")],
        [("family", "s"), ("given", "a")],
        [("identifier", "10017")],
        [("phone", "5185550000"), ("birthdate", "1980-01-01")],
    ],
)
def test_the_index_finds_the_same_patients_as_a_full_comparison(pairs):
    size = Size(500, practitioners=5, locations=5, seed=3, zone=ZONE, today=date(2026, 11, 22))
    patients, matchers = made(size)["Patient"], Matchers(ZONE)
    known = patients.resource(100)
    if ("phone", "5185550000") in pairs:
        pairs = [("phone", known["telecom"][0]["value"]), ("birthdate", known["birthDate"])]
    slow = [key for key in patients.numbers() if matchers.matches("Patient", patients.resource(key), pairs)]
    candidates = patients.candidates(dict(pairs))
    quick = [key for key in candidates if matchers.matches("Patient", patients.resource(key), pairs)]
    assert slow
    assert sorted(quick) == slow
    assert len(list(candidates)) < 500


def test_the_index_finds_the_encounters_and_coverages_of_a_patient():
    size = Size(60, practitioners=5, locations=5, seed=3, zone=ZONE, today=date(2026, 11, 22))
    sources, matchers = made(size), Matchers(ZONE)
    for kind in ("Encounter", "Coverage"):
        source = sources[kind]
        for patient in (sources["Patient"].resource(key)["id"] for key in (0, 2, 59)):
            pairs = [("patient", patient)]
            slow = [key for key in source.numbers() if matchers.matches(kind, source.resource(key), pairs)]
            assert list(source.candidates({"patient": patient})) == slow
            assert slow or kind == "Coverage"

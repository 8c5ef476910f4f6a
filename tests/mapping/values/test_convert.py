"""Conversion of FHIR values to the types of a row, or a reason that does not quote the value."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecw.mapping.values.convert import Unusable, converter
from ecw.mapping.vocabulary import TYPES

NEW_YORK = ZoneInfo("America/New_York")
ID43 = "Lt2IFR5Ah76n4d8TFP5gBCYrEVzcfmSY9rj1Q7MpB.g"


@pytest.mark.parametrize(
    ("type_name", "value", "converted"),
    [
        ("string", "x", "x"),
        ("string", 7, "7"),
        ("string", "", None),
        ("code", " M ", "M"),
        ("boolean", False, False),
        ("integer", 0, 0),
        ("decimal", -95.742114, -95.742114),
        ("decimal", 3, 3),
        ("date", "2001-05-27", "2001-05-27"),
        ("date", "2024-03-10T23:30:00-05:00", "2024-03-11"),  # New York is at -04:00 at that time
        ("date", "2024-07-01T02:00:00Z", "2024-06-30"),
        ("datetime", "2015-11-01T17:00:14-05:00", "2015-11-01T22:00:14+00:00"),
        ("datetime", "2015-11-01T22:00:14.250Z", "2015-11-01T22:00:14.250000+00:00"),
        ("datetime", "2022-07-22", "2022-07-22T04:00:00+00:00"),  # midnight in summer
        ("datetime", "2022-01-22", "2022-01-22T05:00:00+00:00"),  # midnight in winter
        (
            "datetime",
            "2024-11-03T01:30:00",
            "2024-11-03T05:30:00+00:00",
        ),  # this time occurs twice that night: the first one
        ("datetime", "2024-03-10T02:30:00", "2024-03-10T07:30:00+00:00"),  # this time does not occur that night
        ("reference", f"Location/{ID43}", f"Location/{ID43}"),
        ("reference", f"http://fhir.example.com/fhir/r4/ABCDEF/Patient/{ID43}", f"Patient/{ID43}"),
        ("reference", "https://x.example/Patient/1/_history/2", "Patient/1"),
    ],
)
def test_a_value_is_converted_to_the_columns_type(type_name: str, value: Any, converted: Any) -> None:
    assert converter(type_name, NEW_YORK)(value) == converted


@pytest.mark.parametrize(
    ("type_name", "value", "rule"),
    [
        ("string", {"text": "secret"}, "type"),
        ("string", True, "type"),
        ("boolean", "true", "type"),
        ("integer", 1.5, "type"),
        ("integer", True, "type"),
        ("decimal", "1.5", "type"),
        ("date", "2001", "partial date"),
        ("date", "2001-05", "partial date"),
        ("date", "2001-02-30", "date"),
        ("date", "secret", "date"),
        ("date", 20010527, "type"),
        ("date", "0001-01-01T00:00:00+14:00", "date"),
        ("datetime", "2001", "partial date"),
        ("datetime", "2001-05-27T25:00:00Z", "date"),
        ("datetime", "9999-12-31T23:59:59-14:00", "date"),
        ("reference", "Practitioner?identifier=http://x|secret", "reference"),
        ("reference", "urn:uuid:0b9875ba-9310-313d-93d4-bf552585d527", "reference"),
        ("reference", "#contained", "reference"),
        ("reference", {"reference": "Patient/1"}, "reference"),
    ],
)
def test_a_wrong_value_is_refused_and_not_quoted(type_name: str, value: Any, rule: str) -> None:
    with pytest.raises(Unusable) as error:
        converter(type_name, NEW_YORK)(value)
    assert error.value.rule == rule
    assert "secret" not in str(error.value)


def test_every_type_of_the_vocabulary_has_a_converter() -> None:
    assert all(callable(converter(name, NEW_YORK)) for name in TYPES)

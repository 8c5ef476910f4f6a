"""The status of a patient that the map step derives from the record."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.pull.map_records import what_became

OTHER = {"other": {"reference": "Patient/b"}}


@pytest.mark.parametrize(
    ("elements", "status"),
    [
        ({}, None),
        ({"active": True, "deceasedBoolean": False}, None),
        ({"active": False}, ("inactive", "eCW has deactivated it")),
        ({"active": False, "link": [OTHER | {"type": "replaced-by"}]}, ("merged", "into Patient/b")),
        ({"link": [{"type": "replaced-by", "other": {}}]}, ("merged", "into another record")),
        ({"active": True, "link": [OTHER | {"type": "replaces"}]}, None),
        ({"deceasedBoolean": True, "active": False}, ("deceased", "eCW says so")),
        ({"deceasedDateTime": "2020-02-01T10:00:00-05:00"}, ("deceased", "eCW says so")),
        ({"deceasedDateTime": "1899-12-30T00:00:00-05:00"}, None),  # eCW's null date
        ({"link": "broken"}, None),
    ],
)
def test_a_patient_is_inactive_merged_deceased_or_none_of_these(
    elements: dict[str, Any], status: tuple[str, str] | None
) -> None:
    assert what_became({"resourceType": "Patient", "id": "a"} | elements) == status

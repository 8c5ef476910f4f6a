"""What a map step finds out beside the row."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.pull.map_records import what_became

OTHER = {"other": {"reference": "Patient/b"}}


@pytest.mark.parametrize(
    ("said", "became"),
    [
        ({}, None),
        ({"active": True, "deceasedBoolean": False}, None),
        ({"active": False}, ("inactive", "eCW has deactivated it")),
        ({"active": False, "link": [OTHER | {"type": "replaced-by"}]}, ("merged", "into Patient/b")),
        ({"link": [{"type": "replaced-by", "other": {}}]}, ("merged", "into another record")),
        ({"active": True, "link": [OTHER | {"type": "replaces"}]}, None),
        ({"deceasedBoolean": True, "active": False}, ("deceased", "eCW says so")),
        ({"deceasedDateTime": "2020-02-01T10:00:00-05:00"}, ("deceased", "eCW says so")),
        ({"deceasedDateTime": "1899-12-30T00:00:00-05:00"}, None),  # eCW's null date, on the living
        ({"link": "broken"}, None),
    ],
)
def test_what_happened_to_somebody(said: dict[str, Any], became: tuple[str, str] | None) -> None:
    assert what_became({"resourceType": "Patient", "id": "a"} | said) == became

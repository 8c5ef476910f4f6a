"""Synthea's FHIR data, loaded into the sandbox, is pulled completely."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox


def test_every_record_is_loaded_once_and_a_change_is_one_update(
    shared_data: Path,
    pull: Pulling,
    sandbox_factory: Callable[..., RunningSandbox],
    practice: Callable[[RunningSandbox], None],
) -> None:
    synthea = shared_data / "synthea"
    sandbox = sandbox_factory(load=synthea, quota=0, page_size=10)
    practice(sandbox)
    records_by_id = {
        name: {
            json.loads(line)["id"]: json.loads(line) for line in (synthea / f"{kind}.ndjson").read_text().splitlines()
        }
        for name, kind in {"practitioner": "Practitioner", "location": "Location"}.items()
    }
    assert {name: len(records) for name, records in records_by_id.items()} == {"practitioner": 43, "location": 44}

    first, second = pull(), pull()

    assert {name: (counts["fetched"], counts["inserted"]) for name, counts in first.items()} == {
        "practitioner": (43, 43),
        "location": (44, 44),
    }
    assert {name: counts["unchanged"] for name, counts in second.items()} == {"practitioner": 43, "location": 44}
    names = {row["ecw_id"]: row["last_name"] for row in pull.rows("SELECT ecw_id, last_name FROM practitioner")}
    assert names == {ecw_id: record["name"][0]["family"] for ecw_id, record in records_by_id["practitioner"].items()}
    cities = {row["ecw_id"]: row["city"] for row in pull.rows("SELECT ecw_id, city FROM location")}
    assert cities == {
        ecw_id: record.get("address", {}).get("city") for ecw_id, record in records_by_id["location"].items()
    }

    record = next(iter(records_by_id["location"].values()))
    sandbox.put({**record, "description": "moved"})
    third = pull()

    assert (third["location"]["updated"], third["location"]["unchanged"]) == (1, 43)
    assert (third["practitioner"]["updated"], third["practitioner"]["unchanged"]) == (0, 43)

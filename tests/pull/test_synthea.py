"""Real FHIR data (Synthea's), loaded into the sandbox, arrives whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox


def test_every_record_arrives_once_and_a_change_is_one_update(
    shared_data: Path,
    pull: Pulling,
    sandbox_factory: Callable[..., RunningSandbox],
    practice: Callable[[RunningSandbox], None],
) -> None:
    synthea = shared_data / "synthea"
    sandbox = sandbox_factory(load=synthea, quota=0, page_size=10)
    practice(sandbox)
    held = {
        name: {
            json.loads(line)["id"]: json.loads(line) for line in (synthea / f"{kind}.ndjson").read_text().splitlines()
        }
        for name, kind in {"practitioner": "Practitioner", "location": "Location"}.items()
    }
    assert {name: len(records) for name, records in held.items()} == {"practitioner": 43, "location": 44}

    first, second = pull(), pull()

    assert {name: (found["fetched"], found["inserted"]) for name, found in first.items()} == {
        "practitioner": (43, 43),
        "location": (44, 44),
    }
    assert {name: found["unchanged"] for name, found in second.items()} == {"practitioner": 43, "location": 44}
    names = {row["ecw_id"]: row["last_name"] for row in pull.rows("SELECT ecw_id, last_name FROM practitioner")}
    assert names == {ecw_id: record["name"][0]["family"] for ecw_id, record in held["practitioner"].items()}
    cities = {row["ecw_id"]: row["city"] for row in pull.rows("SELECT ecw_id, city FROM location")}
    assert cities == {ecw_id: record.get("address", {}).get("city") for ecw_id, record in held["location"].items()}

    record = next(iter(held["location"].values()))
    sandbox.put({**record, "description": "moved"})
    third = pull()

    assert (third["location"]["updated"], third["location"]["unchanged"]) == (1, 43)
    assert (third["practitioner"]["updated"], third["practitioner"]["unchanged"]) == (0, 43)

"""The seed's own example: a row of the CRM becomes the request that it shows, and the sandbox takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from include.sandbox.write_rules import TAKEN
from tests.mapping.transform.test_to_resource import ROW


def test_the_seed_s_row_is_pushed_as_the_seed_shows_it(
    sandbox: Any,
    crm: Any,
    run: Any,
    shared_data: Path,
) -> None:
    [entry] = orjson.loads((shared_data / "seed/push-patient-bundle.json").read_bytes())["entry"]
    location = ROW["default_location"].removeprefix("Location/")
    sandbox.put({"resourceType": "Location", "id": location, "status": "active", "name": "Lawrence"})
    crm_id = crm.add(**ROW)
    assert run()["counts"] == {"created": 1}
    stored = sandbox.record("Patient", crm.row(crm_id)["ecw_id"])
    wanted = entry["resource"]
    assert {"name", "telecom", "address", "extension"} <= wanted.keys()
    assert {name: stored.get(name) for name in TAKEN} == {name: wanted.get(name) for name in TAKEN}
    assert [one["value"] for one in stored["identifier"]] == [stored["id"], wanted["identifier"][0]["value"]]
    assert run(patients=[crm_id])["counts"] == {"unchanged": 1}

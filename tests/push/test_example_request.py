"""The seed's example: a row of the CRM becomes the example's request, and the sandbox accepts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from include.sandbox.endpoints.write_rules import TAKEN
from tests.mapping.transform.test_to_resource import ROW


def test_the_row_of_the_seed_is_pushed_as_in_its_example(
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
    expected = entry["resource"]
    assert {"name", "telecom", "address", "extension"} <= expected.keys()
    assert {name: stored.get(name) for name in TAKEN} == {name: expected.get(name) for name in TAKEN}
    assert [one["value"] for one in stored["identifier"]] == [stored["id"], expected["identifier"][0]["value"]]
    assert run(patients=[crm_id])["counts"] == {"unchanged": 1}

"""Reads by id whose answers are not the record asked for: one of them is no reason to fail the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest

from ecw.errors import InvalidResponse
from ecw.fhir.client import EcwClient
from ecw.pull.extract.fetch import fetch
from ecw.pull.extract.search_request import SearchRequest
from ecw.pull.tombstone import tombstone
from ecw.staging.batch_file import read
from tests.fhir.conftest import Wire, connect, says, wire  # noqa: F401 - two are fixtures
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.extract.test_strategies import Roll, ask

SURVIVOR = {"resourceType": "Patient", "id": "survivor"}


@pytest.fixture
def fetched(
    sandbox: RunningSandbox,
    connect: Callable[..., EcwClient],  # noqa: F811
    wire: Wire,  # noqa: F811
    tmp_path: Path,
) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Return a function that reads a merged patient, answered as told, and another one; it returns what was staged."""

    def run(of_merged: dict[str, Any]) -> list[dict[str, Any]]:
        def answer(request: BaseHTTPRequestHandler) -> None:
            ecw_id = request.path.rpartition("/")[2]
            found = of_merged if ecw_id == "merged" else {"resourceType": "Patient", "id": ecw_id}
            says(request, 200, orjson.dumps(found))

        wire.answer = answer
        client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
        of_two = ask("Patient", Roll(), max_concurrency=1)
        of_two.run["staging"] = str(tmp_path)
        reads = [SearchRequest(f"id={ecw_id}", {}, ecw_id) for ecw_id in ("merged", "other")]
        fetch(of_two, client, reads)
        of_two.parts.finish(str(tmp_path / "extract.ndjson.gz"))
        return list(read(str(tmp_path / "extract.ndjson.gz")))

    return run


@pytest.mark.parametrize("reference", ["Patient/merged", "https://host/fhir/r4/X/Patient/merged"])
def test_a_patient_for_whom_the_survivor_comes_back_is_gone(
    fetched: Callable[[dict[str, Any]], list[dict[str, Any]]], reference: str
) -> None:
    replaces = {"type": "replaces", "other": {"reference": reference}}

    staged = fetched({**SURVIVOR, "link": [{"type": "seealso"}, replaces]})

    assert staged == [tombstone("Patient", "merged"), {"resourceType": "Patient", "id": "other"}]


def test_another_record_that_proves_nothing_is_reported_and_left_out(
    fetched: Callable[[dict[str, Any]], list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    link = {"type": "replaces", "other": {"reference": "Patient/unmerged"}}

    assert fetched({**SURVIVOR, "link": [link]}) == [{"resourceType": "Patient", "id": "other"}]

    [told] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told.startswith(
        "Patient/merged was requested, and the server returned another record. It is left out of this run."
    )


def test_what_is_no_patient_at_all_is_an_error(fetched: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
    with pytest.raises(InvalidResponse):
        fetched({"resourceType": "Bundle", "id": "merged"})

"""Reads by id that return another record: that record is left out or deleted, and the others are read."""

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
from tests.fhir.conftest import Wire, connect, respond, wire  # noqa: F401 - two are fixtures
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.extract.test_strategies import FixedIds, extract_context

SURVIVOR = {"resourceType": "Patient", "id": "survivor"}


@pytest.fixture
def fetched(
    sandbox: RunningSandbox,
    connect: Callable[..., EcwClient],  # noqa: F811
    wire: Wire,  # noqa: F811
    tmp_path: Path,
) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Return a function that reads a merged patient and another one, and returns the staged records.

    The server answers the read of the merged patient with `merged_answer`.
    """

    def run(merged_answer: dict[str, Any]) -> list[dict[str, Any]]:
        def answer(request: BaseHTTPRequestHandler) -> None:
            ecw_id = request.path.rpartition("/")[2]
            answered = merged_answer if ecw_id == "merged" else {"resourceType": "Patient", "id": ecw_id}
            respond(request, 200, orjson.dumps(answered))

        wire.answer = answer
        client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
        context = extract_context("Patient", FixedIds(), max_concurrency=1)
        context.run["staging"] = str(tmp_path)
        reads = [SearchRequest(f"id={ecw_id}", {}, ecw_id) for ecw_id in ("merged", "other")]
        fetch(context, client, reads)
        context.checkpoint.finish(str(tmp_path / "extract.ndjson.gz"))
        return list(read(str(tmp_path / "extract.ndjson.gz")))

    return run


@pytest.mark.parametrize("reference", ["Patient/merged", "https://host/fhir/r4/X/Patient/merged"])
def test_a_patient_is_deleted_if_ecw_returns_the_record_that_replaces_it(
    fetched: Callable[[dict[str, Any]], list[dict[str, Any]]], reference: str
) -> None:
    replaces = {"type": "replaces", "other": {"reference": reference}}

    staged = fetched({**SURVIVOR, "link": [{"type": "seealso"}, replaces]})

    assert staged == [tombstone("Patient", "merged"), {"resourceType": "Patient", "id": "other"}]


def test_another_record_without_a_link_to_the_patient_is_reported_and_left_out(
    fetched: Callable[[dict[str, Any]], list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    link = {"type": "replaces", "other": {"reference": "Patient/unmerged"}}

    assert fetched({**SURVIVOR, "link": [link]}) == [{"resourceType": "Patient", "id": "other"}]

    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith(
        "Patient/merged was requested, and the server returned another record. It is left out of this run."
    )


def test_an_answer_of_another_type_is_an_error(fetched: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
    with pytest.raises(InvalidResponse):
        fetched({"resourceType": "Bundle", "id": "merged"})

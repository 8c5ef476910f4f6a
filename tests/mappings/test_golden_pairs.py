"""Every pair in the folders beside this file: what eCW has, and what the CRM has of it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from ecw.mapping.compile import Mapper
from ecw.mapping.files import all_mappings, load_mapping

HERE = Path(__file__).parent
PAIRS = sorted(HERE.glob("*/*.json"))


@pytest.mark.parametrize("file", PAIRS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_pair(file: Path) -> None:
    pair = orjson.loads(file.read_bytes())
    mapped = Mapper(load_mapping(file.parent.name)).row(pair["resource"])
    assert [f"{problem.column}: {problem.rule}" for problem in mapped.problems] == pair.get("rejected_for", [])
    # Columns that are not in the pair's row are empty.
    assert {name: value for name, value in mapped.row.items() if value is not None} == pair["row"]


def test_every_mapping_file_has_pairs() -> None:
    assert set(all_mappings()) == {file.parent.name for file in PAIRS}

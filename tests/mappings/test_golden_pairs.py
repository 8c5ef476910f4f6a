"""Every pair in the folders beside this file: a resource of eCW and the row of the CRM.

`resource` and `row`: a pull. `row`, `into` (eCW's resource before, if any) and `sent`: a push.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from ecw.mapping.definition.files import all_mappings, load_mapping
from ecw.mapping.transform.to_resource import Composer
from ecw.mapping.transform.to_row import Mapper
from ecw.mapping.validation.resource import not_fhir

HERE = Path(__file__).parent
PAIRS = {f"{file.parent.name}/{file.stem}": orjson.loads(file.read_bytes()) for file in sorted(HERE.glob("*/*.json"))}
PULLS = [name for name, pair in PAIRS.items() if "resource" in pair]
PUSHES = [name for name, pair in PAIRS.items() if "sent" in pair]


@pytest.mark.parametrize("name", PULLS)
def test_a_pulled_resource_gives_the_row_of_its_pair(name: str) -> None:
    pair = PAIRS[name]
    mapped = Mapper(load_mapping(name.split("/")[0])).row(pair["resource"])
    assert [f"{problem.column}: {problem.rule}" for problem in mapped.problems] == pair.get("rejected_for", [])
    assert [f"{problem.column}: {problem.rule}" for problem in mapped.warnings] == pair.get("warned_for", [])
    # Columns that are not in the pair's row are empty.
    assert {column: value for column, value in mapped.row.items() if value is not None} == pair["row"]


@pytest.mark.parametrize("name", PUSHES)
def test_a_pushed_row_gives_the_resource_of_its_pair(name: str) -> None:
    pair = PAIRS[name]
    composed = Composer(load_mapping(name.split("/")[0])).resource(pair["row"], into=pair.get("into"))
    assert composed.problems == []
    assert composed.resource == pair["sent"]


@pytest.mark.parametrize("name", PAIRS)
def test_both_sides_of_a_pair_are_fhir(name: str) -> None:
    pair = PAIRS[name]
    assert not_fhir(pair.get("resource") or pair["sent"]) == []


def test_every_mapping_file_has_pairs_in_its_directions() -> None:
    mappings = all_mappings()
    assert {name.split("/")[0] for name in PULLS} == set(mappings)
    assert {name.split("/")[0] for name in PUSHES} == {name for name, mapping in mappings.items() if mapping.pushed}


def test_the_pairs_have_every_column() -> None:
    shown = {(name.split("/")[0], column) for name, pair in PAIRS.items() for column in pair["row"]}
    mapped = {(name, column.name) for name, mapping in all_mappings().items() for column in mapping.columns}
    assert mapped - shown == set(), "no pair has these columns: add the FHIR element and its value to a pair"
    assert shown - mapped == set(), "no mapping file has these columns of a pair"

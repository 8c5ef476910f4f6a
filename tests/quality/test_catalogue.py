"""The catalogue of expectations equals that of the installed Great Expectations."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from ecw.quality.catalogue import FILE, Scope, catalogue

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"


@pytest.mark.skipif(
    f"great-expectations=={version('great-expectations')}" not in CONSTRAINTS.read_text().splitlines(),
    reason="the file is generated from the version that constraints.txt pins",
)
def test_the_file_is_generated_from_the_pinned_version() -> None:
    from ecw.quality.gx_catalogue import generate

    assert FILE.read_bytes() == generate(), "run `make docs`"


def test_the_catalogue_has_every_row_level_expectation_of_pandas() -> None:
    from great_expectations.expectations import core

    catalogued = {name.replace("_", "") for name in catalogue()}
    installed = {name for name in dir(core) if name.startswith("Expect") and ("Values" in name or "Compound" in name)}
    only_sql = {name for name in installed if "LikePattern" in name}
    deprecated = {"ExpectMulticolumnValuesToBeUnique"}  # by ExpectSelectColumnValuesToBeUniqueWithinRecord
    too_elaborate = {"ExpectColumnQuantileValuesToBeBetween"}

    assert len(installed) > 30
    assert {
        name for name in installed - only_sql - deprecated - too_elaborate if name.lower() not in catalogued
    } == set()


def test_the_catalogue_has_expectations_of_every_scope() -> None:
    assert {known.scope for known in catalogue().values()} == set(Scope)

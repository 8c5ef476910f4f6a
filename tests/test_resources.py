"""The table of resources, and the files that each resource needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ecw.errors import ConfigurationError
from ecw.pull.extract.strategies import STRATEGIES
from ecw.resources import RESOURCES, resource

ROOT = Path(__file__).resolve().parents[1]


def test_every_resource_has_its_mapping_suite_and_golden_pairs() -> None:
    assert RESOURCES
    for name in RESOURCES:
        assert (ROOT / "include" / "mappings" / f"{name}.yaml").exists(), f"{name}: no mapping file"
        assert (ROOT / "include" / "quality" / f"{name}.yaml").exists(), f"{name}: no quality suite"
        assert list((ROOT / "tests" / "mappings").glob(f"**/{name}*")), f"{name}: no golden pair"


def test_the_console_offers_every_resource() -> None:
    listed = re.search(r"RESOURCES = (\[.*?\]);", (ROOT / "plugins/ecw/ui/static/record.js").read_text())
    assert listed
    assert sorted(json.loads(listed[1])) == sorted(RESOURCES), "add it to RESOURCES of ui/static/record.js"


def test_a_resource_comes_after_those_that_it_needs() -> None:
    names = list(RESOURCES)
    for row in RESOURCES.values():
        assert all(names.index(needed) < names.index(row.name) for needed in row.needs)


@pytest.mark.parametrize(("name", "hint"), [("practitoner", "did you mean 'practitioner'"), ("x", "use one of: ")])
def test_an_unknown_resource_is_named_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        resource(name)


def test_a_resource_needs_the_resources_that_its_strategies_use() -> None:
    for row in RESOURCES.values():
        depends_on = {STRATEGIES[strategy].depends_on for strategy in row.strategies} - {""}
        assert depends_on <= set(row.needs), row.name
    assert STRATEGIES["schedule"].depends_on == "practitioner"

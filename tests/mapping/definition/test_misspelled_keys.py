"""A misspelled key in any shipped mapping, suite or policy file is refused, with its line and a suggestion."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecw.errors import MappingError
from ecw.mapping.definition.files import all_mappings, load_mapping, mappings_folder
from ecw.mapping.validation.structure import check_structure
from ecw.quality.suite import suite_of
from tests.fixtures.examples import examples

SHIPPED = mappings_folder()
FILES = [
    *sorted(SHIPPED.glob("*.yaml")),
    *sorted((SHIPPED.parent / "quality").glob("*.yaml")),
    SHIPPED / "crosswalks" / "policies.yaml",
]
OWN_NAMES = ("constant", "set_with")  # their keys are paths, or names that the file defines


def keys(node: yaml.Node, above: str = "") -> Iterator[yaml.ScalarNode]:
    """Yield the keys that this project, FHIR or Great Expectations defines."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from keys(item, above)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if above not in OWN_NAMES:
                yield key
            yield from keys(value, key.value)


MAPPINGS = all_mappings()
PLACES = [(file, key) for file in FILES for key in keys(yaml.compose(file.read_text()))]


def misspelled(word: str, at: int, change: str) -> str:
    at %= len(word)
    return {
        "doubled": word[: at + 1] + word[at:],
        "dropped": word[:at] + word[at + 1 :],
        "swapped": word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
        "another": word[:at] + "q" + word[at + 1 :],
    }[change]


def mistakes_of(file: Path) -> str:
    """Return the mistakes of a file of a project folder, or of the files that use it."""
    folder = file.parents[1] / "mappings" if file.name != "policies.yaml" else file.parents[1]
    try:
        if file.parent.name == "quality":
            suite_of(file.stem, MAPPINGS[file.stem], file.parent)
            return ""
        if file.name == "policies.yaml":
            all_mappings(folder)
            return ""
        return "\n".join(check_structure(load_mapping(file)))
    except MappingError as error:
        return error.what


def test_the_shipped_files_have_keys_to_misspell() -> None:
    assert len(FILES) == 11
    assert len({file for file, _ in PLACES}) == len(FILES)
    assert len(PLACES) > 900


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(SHIPPED, folder / "mappings")
    shutil.copytree(SHIPPED.parent / "quality", folder / "quality")
    return folder


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    place=st.sampled_from(PLACES),
    at=st.integers(0, 30),
    change=st.sampled_from(["doubled", "dropped", "swapped", "another"]),
)
def test_a_misspelled_key_is_refused(project: Path, place: tuple[Path, yaml.ScalarNode], at: int, change: str) -> None:
    shipped, key = place
    wrong = misspelled(key.value, at, change)
    if not wrong or wrong == key.value:
        return
    text = shipped.read_text()
    begin = key.start_mark.index + (1 if key.style else 0)  # after the quote
    file = project / shipped.relative_to(SHIPPED.parent)
    file.write_text(text[:begin] + wrong + text[begin + len(key.value) :])
    try:
        found = mistakes_of(file)
    finally:
        file.write_text(text)
    lines = [line for line in found.splitlines() if "did you mean" in line or "use one of" in line]
    if (
        shipped.name == "policies.yaml" and not key.start_mark.column
    ):  # a crosswalk's name: the mapping that uses it is reported
        assert any(f"has no policy for {key.value!r}" in line for line in lines), found
        return
    assert any(f"{file.name}:{key.start_mark.line + 1}:" in line and repr(wrong) in line for line in lines), found

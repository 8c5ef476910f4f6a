"""A push of a resource that eCW does not accept is refused with the reason and the alternative."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecw.errors import ConfigurationError, MappingError
from ecw.mapping.definition.files import load_mapping, mappings_folder
from ecw.resources import NOT_PUSHED, RESOURCES, no_push, require_pushed


def test_every_resource_is_pushed_or_has_a_reason_why_not() -> None:
    assert require_pushed("patient") == "patient"
    assert set(RESOURCES) - {"patient"} <= set(NOT_PUSHED)
    for resource in RESOURCES.values():
        assert no_push(resource.name) == no_push(resource.fhir_type)


@pytest.mark.parametrize("name", [*NOT_PUSHED, "Coverage", "Pre_Assessment"])
def test_the_refusal_names_the_reason_and_the_next_step(name: str) -> None:
    reason = no_push(name)
    assert reason is not None
    with pytest.raises(ConfigurationError) as raised:
        require_pushed(name)
    assert reason.why in raised.value.what
    assert raised.value.next_step == reason.instead


def test_an_unknown_name_of_a_resource_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no resource 'patiant'.*push patient"):
        require_pushed("patiant")


@pytest.mark.parametrize("sync", ["both", "push"])
@pytest.mark.parametrize("name", ["encounter", "insurance", "practitioner", "location"])
def test_a_mapping_file_with_a_wrong_direction_is_refused_with_its_line(tmp_path: Path, name: str, sync: str) -> None:
    lines = (mappings_folder() / f"{name}.yaml").read_text().splitlines()
    at = next(at for at, line in enumerate(lines) if line.strip() == "required: true")
    lines.insert(at, lines[at].replace("required: true", f"sync: {sync}"))
    (tmp_path / f"{name}.yaml").write_text("\n".join(lines))
    (tmp_path / "crosswalks").symlink_to(mappings_folder() / "crosswalks")
    reason = no_push(name)
    assert reason is not None
    with pytest.raises(MappingError) as raised:
        load_mapping(tmp_path / f"{name}.yaml")
    assert f"{name}.yaml:{at + 1}:" in str(raised.value)
    assert reason.why in str(raised.value)

"""Crosswalks: their files, their policies, and the mistakes that are reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ecw.errors import MappingError
from ecw.mapping.definition.crosswalks import Crosswalk, available
from ecw.mapping.definition.files import load_mapping, mappings_folder
from ecw.mapping.definition.model import Mapping

COLUMN = "      - {name: sex, label: Sex, path: gender, type: code, crosswalk: sex}\n"


def test_of_several_codes_for_one_value_the_first_is_written() -> None:
    crosswalk = Crosswalk(
        "language", (("ENG", "English", "s", ""), ("en", "English", "t", ""), ("es", "Spanish", "t", ""))
    )
    assert crosswalk.values == {"ENG": "English", "en": "English", "es": "Spanish"}
    assert crosswalk.codes == {"English": ("ENG", "s"), "Spanish": ("es", "t")}


@pytest.mark.parametrize(
    ("policies", "lines", "problem"),
    [
        ("sex: {unmapped: reject}", "male,Male,,\nmale,Man,,\n", "sex.csv:3:1: the code 'male' is listed twice"),
        ("sex: {unmapped: reject}", "male,,,\n", "sex.csv:2:1: a line must have a code"),
        ("sex: {unmapped: reject}", "male,Male,,a,b\n", "sex.csv:2:1: a line must have a code"),
        ("sx: {unmapped: reject}", "male,Male,,\n", "policies.yaml:1:1: has no policy for 'sex'; did you mean 'sx'?"),
        (
            "sex: {unmapped: rejects}",
            "male,Male,,\n",
            "policies.yaml:1:17: 'rejects' is not a value of unmapped; did you mean",
        ),
        (
            "sex: {unmaped: keep}",
            "male,Male,,\n",
            "policies.yaml:1:7: 'unmaped' is not a key here; did you mean 'unmapped'?",
        ),
        ("sex: {unmapped: default}", "male,Male,,\n", "`unmapped: default` and `default:` must be used together"),
        (
            "sex: {unmapped: keep}\nsex: {unmapped: keep}",
            "male,Male,,\n",
            "policies.yaml:2:1: the key 'sex' occurs twice",
        ),
        ("sex: {unmapped: keep, crm_list: x}", "male,Male,,\n", "policies.yaml:1:33: 'x' is not table.column"),
    ],
)
def test_a_mistake_is_reported_with_file_line_and_column(
    mapping_of: Callable[..., Mapping], policies: str, lines: str, problem: str
) -> None:
    with pytest.raises(MappingError) as error:
        mapping_of(COLUMN, policies=policies, sex=lines)
    assert problem in error.value.what


def test_lines_without_a_cell_are_skipped(mapping_of: Callable[..., Mapping]) -> None:
    crosswalk = mapping_of(COLUMN, policies="sex: {unmapped: keep}", sex="male,Male,,\n,,,\n\n").crosswalks["sex"]
    assert [line[:2] for line in crosswalk.lines] == [("male", "Male")]


@pytest.mark.parametrize(
    ("policies", "problem"),
    [(None, "policies.yaml:1:1: is missing"), ("[sex]", "must be a list of `crosswalk: policy` lines")],
)
def test_crosswalks_need_their_policies(
    mapping_of: Callable[..., Mapping], tmp_path: Path, policies: str | None, problem: str
) -> None:
    mapping_of(COLUMN, policies="sex: {unmapped: keep}", sex="male,Male,,\n")
    file = tmp_path / "crosswalks" / "policies.yaml"
    file.unlink() if policies is None else file.write_text(policies)
    with pytest.raises(MappingError) as error:
        load_mapping(tmp_path / "mine.yaml")
    assert problem in error.value.what


def test_the_header_is_checked(mapping_of: Callable[..., Mapping], tmp_path: Path) -> None:
    mapping_of(COLUMN, policies="sex: {unmapped: keep}", sex="male,Male,,\n")
    (tmp_path / "crosswalks" / "sex.csv").write_text("code;value\nmale;Male\n")
    with pytest.raises(MappingError, match=r"sex\.csv:1:1: the first line must be code,value,system,note"):
        load_mapping(tmp_path / "mine.yaml")


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(
    mapping_of: Callable[..., Mapping], tmp_path: Path
) -> None:
    mapping = mapping_of(COLUMN, policies="sex: {unmapped: keep}", sex="male,Male,,\n")
    file = tmp_path / "crosswalks" / "sex.csv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_mapping(tmp_path / "mine.yaml").version == mapping.version


def test_a_table_that_is_not_utf_8_is_reported_with_its_line(
    mapping_of: Callable[..., Mapping], tmp_path: Path
) -> None:
    mapping_of(COLUMN, policies="sex: {unmapped: keep}", sex="male,Male,,\n")
    file = tmp_path / "crosswalks" / "sex.csv"
    file.write_bytes(file.read_bytes() + "x,Garçon,,\n".encode("cp1252"))
    with pytest.raises(MappingError, match=r"sex\.csv:3:1: is not UTF-8: save the table as CSV UTF-8"):
        load_mapping(tmp_path / "mine.yaml")


def test_the_project_s_own_crosswalks_are_listed() -> None:
    assert "gender" in available(mappings_folder() / "crosswalks")

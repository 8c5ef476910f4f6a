"""A mapping file is read, or every mistake in it is reported with file, line and column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ecw.errors import MappingError
from ecw.mapping.definition.files import all_mappings, load_mapping, mappings_folder
from ecw.mapping.definition.model import Mapping
from ecw.mapping.fhirpath.paths import show

GOOD = """\
resource: Patient
table: patient
key: ecw_id
time_zone: America/New_York
constant:
  npi: http://hl7.org/fhir/sid/us-npi
select:
  - column:
      - {name: ecw_id, label: Linked EMR Record, path: id, type: string, required: true}
      - {name: npi, label: NPI, path: identifier.where(system=%npi).value, type: string, clean: [trim]}
  - forEachOrNull: name.first()
    column:
      - name: last_name
        label: Last Name
        path: >-
          family |
          text
        type: string
        sync: both
        on_conflict: hold
        update: once
        null_if: [No, 1899-12-30]
        set_with: {text: "%value"}
excluded:
  photo: no pictures
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "patient.yaml"
    file.write_text(text)
    return file


def mistakes(folder: Path, *changes: tuple[str, str]) -> list[str]:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(MappingError) as error:
        load_mapping(write(folder, text))
    assert "ecw mapping check" in error.value.next_step
    return [line.replace(f"{folder}/", "") for line in error.value.what.splitlines()[1:]]


def test_a_correct_file_is_read(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path, GOOD))
    assert (mapping.name, mapping.resource, mapping.table, mapping.key) == ("patient", "Patient", "patient", "ecw_id")
    assert dict(mapping.excluded) == {"photo": "no pictures"}
    last_name = mapping.column("last_name")
    assert (last_name.sync, last_name.on_conflict, last_name.update) == ("both", "hold", "once")
    assert last_name.null_if == ("No", "1899-12-30")  # the texts of the file, not false and a date
    assert [column.name for column in mapping.pushed] == ["last_name"]


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    assert mistakes(
        tmp_path,
        ("table: patient", "tabel: patient"),
        ("type: string, clean: [trim]", "type: text, clean: [trimm]"),
        ("sync: both", "sync: bth"),
        ("label: Last Name", "labl: Last Name"),
    ) == [
        "patient.yaml:1:1: the key 'table' is missing: the CRM's table",
        "patient.yaml:2:1: 'tabel' is not a key here; did you mean 'table'?",
        "patient.yaml:10:82: 'text' is not a value of type; use one of: string, date, datetime, boolean, integer, "
        "decimal, code, concept, reference",
        "patient.yaml:10:96: 'trimm' is not a value of clean; did you mean 'trim'?",
        "patient.yaml:13:9: the key 'label' is missing: what the CRM's users call it",
        "patient.yaml:14:9: 'labl' is not a key here; did you mean 'label'?",
        "patient.yaml:19:15: 'bth' is not a value of sync; did you mean 'both'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "place", "problem"),
    [
        (
            "path: id,",
            "path: id.last(),",
            "9:59",
            "path: 'last' is not understood; the nearest form is [n]",
        ),
        ("system=%npi", "system=%nip", "10:63", "%npi"),
        ("          text\n", "          txt.lst()\n", "17:15", "path: 'lst' is not understood"),
        ("name.first()", "name", "11:24", "end the path in first() or [n]"),
        ("key: ecw_id", "key: ecwid", "3:6", "did you mean 'ecw_id'?"),
        ("key: ecw_id", "key: npi", "3:6", "'npi' must be a required string column"),
        ("{name: npi", "{name: ecw_id", "10:16", "'ecw_id' is a column already, in line 9"),
        ("{name: npi", "{name: n-p-i", "10:16", "letters, digits and _"),
        ("required: true", "required: maybe", "9:84", "required must be true or false"),
        ("America/New_York", "Eastern", "4:12", "'Eastern' is not a time zone"),
        ('"%value"', '"%valu"', "23:26", "did you mean '%value'?"),
        ("clean: [trim]", "crosswalk: npi", "10:101", "there is no crosswalks/npi.csv"),
        ("photo: no pictures", "photo:", "25:9", "photo must be a text"),
        ("excluded:", "excluded: [", "26:1", "is not YAML"),
        ("label: Last Name", "label: Last Name\n        label: Name", "15:9", "the key 'label' occurs twice"),
        ("select:", "column:", "1:1", "the key 'select' is missing"),
        ("resource: Patient", "resource: [Patient]", "1:11", "resource must be a text"),
        ("time_zone: America/New_York", "time_zone:", "4:11", "time_zone must be a text"),
        ("photo: no pictures", "photo: no pictures\n  photo: none", "26:3", "the key 'photo' occurs twice"),
        ("photo: no pictures", "[photo]: no pictures", "25:3", "a key must be a text"),
        ("{name: ecw_id, label", "{label", "9:9", "the key 'name' is missing"),
        ("type: string, clean: [trim]", "type: boolean, crosswalk: npi", "10:102", "translates a text into a text"),
        ("        path: >-\n          family |\n          text\n", "", "13:9", "the key 'path' is missing"),
        (
            'set_with: {text: "%value"}',
            "set_with: {extension('u').value: x}",
            "23:19",
            "set_with: sync both writes, and value has",
        ),
        ("type: string, clean: [trim]", "type: date, null_if: ['1899-12-30T00:00']", "10:98", "is a day, as in"),
        ("clean: [trim]", "to: [Patient]", "10:94", "to names the types of a reference"),
        ("clean: [trim]", "several: ';'", "10:99", "several joins the values of concepts"),
        (
            "clean: [trim]",
            "write_path: id",
            "10:102",
            "write_path is where a push writes, and the column is pulled only",
        ),
        (
            "type: string\n        sync",
            "type: concept\n        sync",
            "18:15",
            "a concept that is pushed needs a crosswalk",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, old: str, new: str, place: str, problem: str) -> None:
    lines = mistakes(tmp_path, (old, new))
    assert any(line.startswith(f"patient.yaml:{place}: ") and problem in line for line in lines), lines


def test_a_misspelled_key_hides_no_mistake_in_a_path(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, ("table: patient", "tabel: patient"), ("path: id,", "path: id.last(),"))
    assert [line.partition(": ")[0] for line in lines] == ["patient.yaml:1:1", "patient.yaml:2:1", "patient.yaml:9:59"]


@pytest.mark.parametrize(
    "text", ["", "a: &a [*a]", "# nothing\n", "- a\n- b\n", "just text", "a: [b: c: d", "key: \tx: y"]
)
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(MappingError, match=r"patient\.yaml"):
        load_mapping(write(tmp_path, text))


def test_the_error_about_a_missing_file_suggests_a_similar_name(tmp_path: Path) -> None:
    for name in ("patient.yaml", "patient"):  # a path is not a name in the default folder
        with pytest.raises(MappingError, match="cannot be read: FileNotFoundError"):
            load_mapping(tmp_path / name)
    with pytest.raises(MappingError, match=r"no mapping file 'patinet'; did you mean 'patient'\?"):
        load_mapping("patinet")


def test_two_columns_without_name_are_two_mistakes(tmp_path: Path) -> None:
    nameless = "      - {label: A, path: id, type: string}\n"
    lines = mistakes(tmp_path, ("  - forEachOrNull", f"{nameless}{nameless}  - forEachOrNull"))
    assert [line.partition(": ")[0] for line in lines] == ["patient.yaml:11:9", "patient.yaml:12:9"]


@pytest.mark.parametrize("null", ["0000-00-00", "2001-99-99"])
def test_a_null_date_may_be_a_day_that_does_not_exist(tmp_path: Path, null: str) -> None:
    text = GOOD.replace("type: string, clean: [trim]", f"type: date, null_if: [{null}]")
    assert load_mapping(write(tmp_path, text)).column("npi").null_if == (null,)


def test_dates_need_the_practice_s_time_zone(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, ("time_zone: America/New_York\n", ""), ("type: string, clean: [trim]", "type: date"))
    assert lines == ["patient.yaml:1:1: date and datetime columns need a `time_zone`, e.g. America/New_York"]


def test_the_version_changes_with_the_content_and_not_with_comments(tmp_path: Path) -> None:
    first = load_mapping(write(tmp_path, GOOD)).version
    assert load_mapping(write(tmp_path, "# a comment\n" + GOOD)).version == first
    assert load_mapping(write(tmp_path, GOOD.replace("Last Name", "Family Name"))).version != first


def test_constants_of_a_practice_replace_those_of_the_file_and_change_the_version(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD.replace('"%value"', '"%npi"'))
    mapping = load_mapping(file, {"npi": "urn:oid:1.2", "other": "x"})
    assert "'urn:oid:1.2'" in show(mapping.column("npi").steps)
    assert [text for _, text in mapping.column("last_name").set_with] == ["urn:oid:1.2"]
    assert dict(mapping.constants) == {"npi": "urn:oid:1.2"}
    assert mapping.version != load_mapping(file).version


def test_the_version_changes_with_the_crosswalks(mapping_of: Callable[..., Mapping]) -> None:
    column = "      - {name: sex, label: Sex, path: gender, type: code, crosswalk: sex}\n"
    versions = {
        mapping_of(column, policies=f"sex: {{unmapped: {policy}}}", sex=lines).version
        for policy in ("reject", "keep")
        for lines in ("male,Male,,\n", "male,Man,,\n", "male,Male,,\nfemale,Female,,\n")
    }
    assert len(versions) == 6


def test_the_shipped_mappings_are_read() -> None:
    mappings = all_mappings()
    assert {"practitioner", "location"} <= set(mappings)
    assert all(mapping.table == name and mapping.excluded for name, mapping in mappings.items())


def test_the_mistakes_of_all_files_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("nothing: good\n")
    (tmp_path / "b.yaml").write_text("- 1\n")
    with pytest.raises(MappingError) as error:
        all_mappings(tmp_path)
    assert "a.yaml:1:1" in error.value.what
    assert "b.yaml:1:1" in error.value.what


def test_the_folder_does_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECW_MAPPINGS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert (mappings_folder() / "practitioner.yaml").is_file()
    monkeypatch.setenv("ECW_MAPPINGS", str(tmp_path))
    assert mappings_folder() == tmp_path
    monkeypatch.setenv("ECW_MAPPINGS", str(tmp_path / "nowhere"))
    with pytest.raises(MappingError, match=r"ECW_MAPPINGS.*ecw init"):
        mappings_folder()

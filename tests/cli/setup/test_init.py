"""`ecw init` writes the DAG files and editable copies, and keeps edited files."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ecw import project_files
from ecw.cli import group
from ecw.errors import ConfigurationError
from ecw.mapping.definition.files import load_mapping, mapping_files
from ecw.quality.suite import suite_path


def init(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["init", *map(str, arguments)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_files_are_written_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    assert init(tmp_path).exit_code == 0
    written = contents(tmp_path)
    assert {"ecw_pull.py", "include/mappings/patient.yaml", "include/quality/patient.yaml"} <= set(written)
    assert any(name.startswith("include/mappings/crosswalks/") for name in written)
    assert init(tmp_path).output.startswith(f"{tmp_path}: 0 files written, {len(written)} existed already.")
    assert contents(tmp_path) == written


def test_an_edited_file_is_overwritten_only_with_force(tmp_path: Path) -> None:
    init(tmp_path)
    written = contents(tmp_path)
    (tmp_path / "include/mappings/patient.yaml").write_text("edited")
    (tmp_path / "ecw_pull.py").unlink()
    edited = contents(tmp_path)
    refused = init(tmp_path)
    assert isinstance(refused.exception, ConfigurationError)
    assert "include/mappings/patient.yaml" in refused.exception.what
    assert "--force" in refused.exception.next_step
    assert contents(tmp_path) == edited, "a refused command writes nothing"
    assert init(tmp_path, "--only", "dags").exit_code == 0, "files that were not edited can be written alone"
    assert init(tmp_path, "--force").exit_code == 0
    assert contents(tmp_path) == written


def test_a_folder_without_write_permission_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = init(tmp_path / "file" / "dags")
    assert isinstance(refused.exception, ConfigurationError)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the package look like one installed from a wheel, with its own files inside; return the DAGs folder."""
    package = tmp_path / "site-packages" / "ecw"
    source = {kind: project_files.source_of(kind) for kind in project_files.PLACES}
    for kind, folder in source.items():
        assert folder is not None
        (package / "project" / kind).mkdir(parents=True)
        for path in folder.glob("*.*"):
            (package / "project" / kind / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(project_files, "__file__", str(package / "project_files.py"))
    monkeypatch.setattr(project_files, "CARRIED", package / "project")
    monkeypatch.delenv("ECW_MAPPINGS", raising=False)
    monkeypatch.chdir(tmp_path)
    dags = tmp_path / "airflow" / "dags"
    monkeypatch.setattr("sys.path", [str(dags)])
    return dags


def test_files_in_the_dags_folder_replace_those_of_the_package(wheel: Path, tmp_path: Path) -> None:
    carried = tmp_path / "site-packages" / "ecw" / "project"
    assert {path.parent for path in mapping_files()} == {carried / "mappings"}
    assert suite_path("patient") == carried / "quality" / "patient.yaml"
    (wheel / "include" / "mappings").mkdir(parents=True)
    (wheel / "include" / "quality").mkdir(parents=True)
    own = (carried / "mappings" / "location.yaml").read_text()
    (wheel / "include" / "mappings" / "location.yaml").write_text(own)
    (wheel / "include" / "quality" / "patient.yaml").touch()
    assert load_mapping("location").file == wheel / "include" / "mappings" / "location.yaml"
    names = {path.name: path.parent for path in mapping_files()}
    assert names["location.yaml"] == wheel / "include" / "mappings"
    assert names["patient.yaml"] == carried / "mappings"
    assert suite_path("patient").parent == wheel / "include" / "quality"
    assert suite_path("location").parent == carried / "quality"

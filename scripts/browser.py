"""Find Chromium for the browser tests; install it where that is allowed.  The path is printed.

Debian's package is tried first (as root), then Playwright's own installer. Where neither works the browser
tests skip with the reason printed here, except in CI (the variable CI is set), where this ends with exit code 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]


def find() -> str | None:
    """Return the path of a Chromium: the system's, or the one Playwright installed."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None  # noqa: PTH110  -- Playwright hands out a string


def install() -> str:
    """Try to install one; return what each way answered."""
    answers = []
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ([*APT, "update"], [*APT, "install", "--yes", "--no-install-recommends", "chromium"]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return ""
        answers.append(f"apt-get: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    else:
        answers.append("apt-get: not here, or not allowed")
    done = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"], capture_output=True, text=True, check=False
    )
    answers.append(f"playwright: {(done.stderr.strip() or f'exit code {done.returncode}').splitlines()[-1]}")
    return "; ".join(answers)


def main() -> None:
    """Make sure that there is one, or say why not."""
    if find():
        return
    print("Installing Chromium for the browser tests …", flush=True)
    answers = install()
    if not find():
        print(f"No Chromium, so the browser tests will skip ({answers}). Install chromium and run again.", flush=True)
        sys.exit(1 if os.environ.get("CI") else 0)


if __name__ == "__main__":
    main()

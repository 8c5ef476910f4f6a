"""`make audit`: check all packages that requirements.lock pins for known vulnerabilities, and record the result.

pip-audit needs the network. The record, audit.json, does not: `make test` compares it with the lock. See
docs/decisions/0020-dependencies-are-checked-without-a-network.md.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK, RECORD = ROOT / "requirements.lock", ROOT / "audit.json"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(lock: str) -> set[tuple[str, str]]:
    """Return the pins of a lock as (name, version); names are normalized (PEP 503)."""
    return {(_normal(name), version) for name, version in PIN.findall(lock)}


def record_of(report: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the record of pip-audit's report: the date, and the versions without a known vulnerability.

    Raises ValueError if a package has a vulnerability or was skipped.
    """
    bad = sorted(
        f"{one['name']} {one.get('version', '')}: {one.get('skip_reason') or [each['id'] for each in one['vulns']]}"
        for one in report["dependencies"]
        if one.get("skip_reason") or one["vulns"]
    )
    if bad:
        raise ValueError("\n".join(bad))
    packages = {_normal(one["name"]): one["version"] for one in report["dependencies"]}
    return {"at": now.date().isoformat(), "packages": dict(sorted(packages.items()))}


def not_audited(lock: str, record: dict[str, Any]) -> list[str]:
    """Return the pins whose version is not in the record."""
    audited = {(name, version) for name, version in record["packages"].items()}
    return [f"{name}=={version}" for name, version in sorted(pins(lock) - audited)]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Run pip-audit and write the record; return the exit code."""
    options = ["--strict", "--requirement", str(LOCK), "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    pip_audit = Path(sys.executable).with_name("pip-audit")
    done = subprocess.run([pip_audit, *options, "--format", "json"], stdout=subprocess.PIPE, text=True, check=False)
    try:
        record = record_of(json.loads(done.stdout), datetime.now(UTC))
    except ValueError as error:  # also without a report: pip-audit has printed why
        sys.stderr.write(f"{error if done.stdout else ''}\nThe record is not written.\n")
        return done.returncode or 1
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

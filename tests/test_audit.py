"""Checks of dependencies and code that need no network: hashes, the record of the audit, static analysis."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scripts.audit import LOCK, RECORD, not_audited, pins, record_of

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_every_installed_package_is_pinned_with_hashes() -> None:
    blocks = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    assert len(blocks) == len(pins(LOCK.read_text())) > 100
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_each_pinned_version_was_audited() -> None:
    if not RECORD.exists():
        pytest.skip("nothing is recorded yet: run `make audit`, which needs the network, and commit audit.json")
    missing = not_audited(LOCK.read_text(), json.loads(RECORD.read_text()))
    assert missing == [], "run `make audit`, and commit audit.json"


def report(*more: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": [{"name": "Foo.bar", "version": "1.0", "vulns": []}, *more], "fixes": []}


def test_a_pin_that_was_not_audited_in_that_version_is_named() -> None:
    record = record_of(report(), NOW)
    assert record == {"at": "2026-11-22", "packages": {"foo-bar": "1.0"}}
    assert not_audited("foo_bar==1.0 ; python_version < '3.12' \\\n    --hash=sha256:00\n", record) == []
    assert not_audited("foo-bar==1.1 \\\n    --hash=sha256:00\nbaz==2\n", record) == ["baz==2", "foo-bar==1.1"]


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "baz", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]},
        {"name": "baz", "skip_reason": "not on PyPI"},
    ],
)
def test_a_vulnerable_or_unknown_package_leaves_no_record(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="baz"):
        record_of(report(bad), NOW)


# One example for each of bandit's rules that this code could break.
PLANTED = {
    "S307": "eval(input())\n",
    "S602": "import subprocess\n\nsubprocess.run('ls ' + input(), shell=True, check=True)\n",
    "S608": "def f(c, name):\n    c.execute(f\"SELECT * FROM t WHERE a = '{name}'\")\n",
    "S501": "import requests\n\nrequests.get('https://x.org', verify=False, timeout=1)\n",
    "S113": "import requests\n\nrequests.get('https://x.org')\n",
    "S506": "import yaml\n\nyaml.load('a', Loader=yaml.Loader)\n",
    "S301": "import pickle\n\npickle.loads(b'')\n",
    "S324": "import hashlib\n\nhashlib.md5(b'')\n",
    "S105": "password" + " = 'Tr0ub4dor-and-3'\n",
    "S701": "import jinja2\n\njinja2.Environment()\n",
    "PLE2502": "x = '\u202e'\n",
}


@pytest.mark.parametrize("rule", sorted(PLANTED))
@pytest.mark.parametrize("place", ["plugins/ecw/fhir/x.py", "dags/x.py", "include/x.py", "scripts/x.py"])
def test_static_analysis_looks_for_what_bandit_looks_for(rule: str, place: str) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--stdin-filename", place, "--output-format", "concise", "-"]
    found = subprocess.run(command, input=PLANTED[rule], capture_output=True, text=True, check=False, cwd=ROOT)
    assert f" {rule} " in found.stdout

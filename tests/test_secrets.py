"""The project's files contain no key, password or token."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.core import baseline

ROOT = Path(__file__).resolve().parent.parent
ACCEPTED = ".secrets.baseline"

# Split into parts, so that the scan does not find them in this file.
PLANTED = {
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n",
    "AWS Access Key": "key = 'AKIA" + "Q3EGWLXYTRKD5BNA'\n",
    "Basic Auth Credentials": "url = 'postgresql://crm:" + "hunter2Blue@db.clinic.example/crm'\n",
    "Secret Keyword": "client_secret" + " = 'Tr0ub4dor-and-3'\n",
    "JSON Web Token": "t = '"
    + "eyJhbGciOiJIUzI1NiJ9."
    + "eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P'\n",
}


def scan(*names: str) -> SecretsCollection:
    found = SecretsCollection()
    for name in names:
        found.scan_file(name)
    return found


def accepted() -> SecretsCollection:
    """Return the secrets that a person has accepted; the scan's rules come from the same file."""
    return baseline.load(baseline.load_from_file(str(ROOT / ACCEPTED)), filename=ACCEPTED)


def lines(secrets: SecretsCollection) -> list[str]:
    return [f"{name}:{secret.line_number} {secret.type}" for name, secret in secrets]


def test_the_accepted_secrets_are_exactly_those_in_the_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("the project's own files are those that git knows or would add")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    monkeypatch.chdir(ROOT)
    known = accepted()
    found = scan(*(name for name in names if name and (ROOT / name).is_file()))
    assert found, "the scan finds the fake secrets of the tests"
    assert lines(found - known) == [], "remove the secret; if it is not one, run `make secrets` and commit its line"
    assert lines(known - found) == [], f"{ACCEPTED} accepts secrets that are not in the files: run `make secrets`"


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("name", ["plugins/ecw/settings.py", "include/mappings/patient.yaml", "docs/how-to/connect.md"])
def test_a_planted_secret_is_found(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.parent.mkdir(parents=True)
    text = PLANTED[kind] if path.suffix == ".py" else PLANTED[kind].replace(" = ", ": ")
    path.write_text(f"first line\n{text}")
    known = accepted()  # with the rules of the scan
    assert kind in {secret.type for _, secret in scan(name) - known}


def test_a_file_without_secrets_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    accepted()
    Path("a.py").write_text("token = read_token()\npassword = os.environ['CRM_PASSWORD']\n")
    assert lines(scan("a.py")) == []

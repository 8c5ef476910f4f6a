"""The sandbox's process: command line, shutdown, log, and the administration API."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest
import requests

from tests.fixtures.sandbox import ROOT

COMMAND = [sys.executable, "-m", "include.sandbox"]


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--patients", "2", *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_prints_its_urls_in_one_line_and_ends_at_a_signal(number):
    with start("--secret", "me=secret") as process:
        addresses = json.loads(process.stdout.readline())
        assert addresses["pid"] == process.pid
        form = {"grant_type": "client_credentials", "scope": "system/Patient.read"}
        token = requests.post(addresses["token_url"], form, auth=("me", "secret"), timeout=600).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        patient = requests.get(f"{addresses['base_url']}/Patient?identifier=10001", headers=headers, timeout=600)
        assert patient.json()["total"] == 1
        process.send_signal(number)
        rest, log = process.communicate(timeout=600)
    assert process.returncode == 0
    assert rest == ""
    assert "GET /fhir/r4/FFSAND/Patient?identifier 200" in log
    assert "10001" not in log, "the log has no values"
    with pytest.raises(requests.ConnectionError):
        requests.get(addresses["base_url"], timeout=600)


def test_a_port_in_use_is_reported_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with start("--port", str(taken.getsockname()[1])) as process:
            out, log = process.communicate(timeout=600)
    assert (process.returncode, out) == (1, "")
    assert "in use; choose another" in log
    assert len(log.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "dstu2"], "profile must be one of: ecw, fhir"),
        (["--load", "/nowhere"], "no <Type>.ndjson in /nowhere"),
        (["--client", "me"], "must be ID=VALUE"),
        (["--zone", "Nowhere/City"], "there is no time zone 'Nowhere/City'"),
    ],
)
def test_wrong_options_are_reported(options, message):
    with start(*options) as process:
        _, log = process.communicate(timeout=600)
    assert process.returncode != 0
    assert message in log


def test_the_help_lists_every_setting(sandbox):
    help_text = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    settings = requests.get(f"{sandbox.admin_url}/settings", timeout=600).json()
    assert len(settings) > 15
    assert [name for name in settings if f"-{name.replace('_', '-')}" not in help_text] == []


def test_records_of_files_are_served_unchanged(sandbox_factory, tmp_path, keys):
    place = {"resourceType": "Location", "id": "l1", "name": "From a file"}
    (tmp_path / "Location.ndjson").write_text(json.dumps(place))
    sandbox = sandbox_factory(load=tmp_path)
    assert sandbox.records("Location") == [place]
    assert sandbox.held()["Patient"] == 0


def test_settings_with_a_wrong_name_or_type_are_refused(sandbox):
    with pytest.raises(ValueError, match="there is no setting 'quotta'"):
        sandbox.set(quotta=1)
    with pytest.raises(ValueError, match="quota must be int, not str"):
        sandbox.set(quota="many")


def test_a_reset_restores_the_state_of_the_start(sandbox, keys):
    patient = sandbox.records("Patient")[0]
    sandbox.delete("Patient", patient["id"])
    sandbox.put({"resourceType": "Location", "id": "new"})
    sandbox.set(page_size=3)
    sandbox.fault("too_many")
    sandbox.register("another", secret="x")
    requests.get(f"{sandbox.base_url}/metadata", timeout=600)
    sandbox.reset()
    assert (sandbox.held()["Patient"], sandbox.held()["Location"]) == (120, 12)
    assert sandbox.records("Patient")[0] == patient
    assert sandbox.faults() == []
    assert sandbox.counts() == {"total": 0, "answers": [], "minutes": {}, "elsewhere": 0}
    assert requests.get(f"{sandbox.admin_url}/settings", timeout=600).json()["page_size"] == 10


def test_records_are_stored_with_a_new_version_or_unchanged(sandbox):
    place = sandbox.records("Location")[0]
    assert sandbox.put(place, stamp=False) == place
    assert sandbox.put(place)["meta"]["lastUpdated"] > place["meta"]["lastUpdated"]
    assert len(sandbox.records("Location")) == 12
    with pytest.raises(ValueError, match="no record with this id"):
        sandbox.delete("Location", "nowhere")
    sandbox.delete_all("Location")
    assert sandbox.records("Location") == []
    with pytest.raises(ValueError, match="unknown type"):
        sandbox.delete_all("Rocket")
    with pytest.raises(ValueError, match="a known type"):
        sandbox.put({"resourceType": "Rocket", "id": "1"})

import json

import pytest
from click.testing import CliRunner

from ecw.cli import group


def test_it_says_what_it_did_and_the_second_time_that_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, empty_crm_url: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_CRM", json.dumps({"conn_type": "generic", "extra": {"url": empty_crm_url}}))
    first = CliRunner().invoke(group, ["migrate", "--crm-conn-id", "my_crm"], catch_exceptions=False)
    assert first.exit_code == 0
    assert "made the table practitioner.\n" in first.output
    assert first.output.endswith("The CRM's database is up to date.\n")
    second = CliRunner().invoke(group, ["migrate", "--crm-conn-id", "my_crm"], catch_exceptions=False)
    assert second.output == "Nothing to do: the CRM's database is up to date.\n"

import json

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from ecw.cli import group
from ecw.crm.state import quality_results
from ecw.crm.state.quality_results import Finding
from ecw.errors import ConfigurationError
from ecw.mapping.definition.files import load_mapping
from ecw.quality.suite import suite_of
from ecw.resources import RESOURCES
from tests.fixtures.loads import a_run

VOLUME = Finding("volume", "", "x", "stop", 12, 0, "pass", usual=13, scope="full")


@pytest.fixture(autouse=True)
def _connection(monkeypatch: pytest.MonkeyPatch, crm_url: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))


def run(*arguments: str) -> list[str]:
    result = CliRunner().invoke(group, ["quality", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return [" ".join(line.split()) for line in result.output.splitlines() if line]


def test_the_last_run_is_shown_with_the_rules_that_rows_break(crm_engine: Engine) -> None:
    state = Finding("pattern", "state", "matches [A-Z]{2}", "warn", 12, 3, "warn", broken_new=2)
    email = Finding("pattern", "email", "matches @", "warn", 12, 0, "pass", broken_new=0)
    quality_results.write(crm_engine, a_run("r1"), "patient", [VOLUME])
    quality_results.write(crm_engine, a_run("r2"), "patient", [VOLUME, state, email])

    report = [
        "Run r2",
        "patient: warn (12 records fetched, usual are 13, 2 rules)",
        "verdict broken new rows column rule expected on_fail",
        "warn 3 2 12 state pattern matches [A-Z]{2} warn",
    ]
    assert run() == report
    assert run("--all") == [*report, "pass 0 0 12 email pattern matches @ warn"]
    assert run("r1") == ["Run r1", "patient: pass (12 records fetched, usual are 13, no row to check)"]


def test_an_unknown_run_is_an_error(crm_engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match="no run 'r9'"):
        run("r9")
    assert run() == ["No run has been checked yet."]


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("own", [True, False])
def test_great_expectations_loads_an_exported_suite(resource: str, own: bool) -> None:
    arguments = ["quality", "export", resource, *(["--own"] if own else [])]
    result = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert result.exit_code == 0

    from ecw.quality import gx_runner

    gx_runner._batches()  # a suite needs a context
    suite = gx_runner.gx.ExpectationSuite(**json.loads(result.stdout))

    rules = suite_of(resource, load_mapping(resource)).rules
    assert len(suite.expectations) == len(rules) - result.stderr.count("Left out")
    assert own is (result.stderr == "") or not any("refer_to_linked" in rule.type for rule in rules)
    assert {each.meta["on_fail"] for each in suite.expectations} <= {"warn", "reject", "stop"}


def test_the_export_of_an_unknown_resource_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="patients"):
        CliRunner().invoke(group, ["quality", "export", "patients"], catch_exceptions=False)

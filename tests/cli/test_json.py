"""With `--json` the commands print JSON, also without rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from ecw.cli import group
from tests.fixtures.crm import on_sqlite
from tests.push.conftest import Crm, crm, run  # noqa: F401 - fixtures
from tests.push.names import person

pytestmark = on_sqlite
CRM = ("--crm-conn-id", "crm_test")
BOTH = ("--conn-id", "ecw_test", *CRM)


def read(*arguments: str) -> Any:
    result = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("matches", "list", "--json", *BOTH),
        ("conflicts", "list", "--json", *BOTH),
        ("find", "nobody", "--json", *BOTH),
        ("quality", "--json", *CRM),
    ],
)
@pytest.mark.usefixtures("run")
def test_without_rows_the_output_is_an_empty_list(arguments: tuple[str, ...]) -> None:
    assert read(*arguments) == []


@pytest.mark.usefixtures("run")
def test_a_practice_that_is_configured_is_listed_before_its_first_run(sandbox: Any) -> None:
    [listed] = read("practice", "list", "--json", *CRM)
    assert listed == {
        "name": "test",
        "practice": sandbox.practice,
        "connection": "ecw_test",
        "address": sandbox.base_url,
    }


def test_json_has_the_same_content_as_the_table(sandbox: Any, crm: Crm, run: Any) -> None:  # noqa: F811
    first = crm.add(**person(0) | {"first_name": "Eva"})
    pushed = read("push", "--json", *BOTH)
    assert pushed["counts"] == {"created": 1}
    [link] = crm.all("ecw_link")
    near = crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"})
    read("push", "--json", *BOTH)
    [held] = read("matches", "list", "--json", *BOTH)
    assert (held["crm_id"], held["ecw_ids"], held["chosen"]) == (near, link["ecw_id"], "")
    [found] = read("find", first, "--json", *BOTH)
    assert found == {"crm_id": first, "ecw_id": link["ecw_id"], "linked": "yes"}
    replayed = read("replay", "--json", "--conn-id", "ecw_test", *CRM)
    assert replayed["practice"] == link["practice"]
    [step, *_] = read("check", "--json", "--conn-id", "ecw_test")
    assert step["ok"] is True

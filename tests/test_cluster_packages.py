"""A test of the cluster names missing packages and is skipped; in CI, which must run all tests, it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.cluster_packages import PACKAGES, absent, require

ROOT = Path(__file__).resolve().parents[1]
NEVER = "no-such-package-of-a-cluster"


def test_the_installed_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    require(["pytest"])


def test_missing_packages_skip_the_tests_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=f"not installed: {NEVER}; `make test-cluster`"):
        require(["pytest", NEVER])


def test_in_ci_missing_packages_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match=NEVER):
        require([NEVER])


def test_every_package_is_one_that_the_cluster_s_requirements_name() -> None:
    assert set(absent([*PACKAGES, NEVER])) <= {*PACKAGES, NEVER}
    text = (ROOT / "requirements-cluster.txt").read_text() + (ROOT / "pyproject.toml").read_text()
    assert [name for name in PACKAGES if name not in text] == []

"""The client's keys are created, shown, rotated and retired; the published JWKS holds no private part."""

import stat
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from jwt.algorithms import RSAAlgorithm

from ecw.cli import group
from ecw.errors import ConfigurationError
from ecw.fhir.connection_test import in_words, steps
from ecw.fhir.keys import key_store


def published(folder: Path) -> list[dict]:
    return orjson.loads((folder / "jwks.json").read_bytes())["keys"]


def test_a_key_is_created_rotated_and_retired(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with pytest.raises(ConfigurationError, match="ecw keys new"):
        key_store.rotate(folder)
    first = key_store.new(folder)
    assert first.key.key_size == 3072
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(ConfigurationError, match="only key"):
        key_store.retire(folder, first.kid)
    with pytest.raises(ConfigurationError, match="ecw keys rotate"):
        key_store.new(folder)
    second = key_store.rotate(folder)
    assert [key["kid"] for key in published(folder)] == [first.kid, second.kid]
    with pytest.raises(ConfigurationError, match="2 live keys"):
        key_store.rotate(folder)
    with pytest.raises(ConfigurationError, match="has no key 'other'"):
        key_store.retire(folder, "other")
    key_store.retire(folder, first.kid)
    (remaining,) = published(folder)
    assert not first.path.exists()
    assert set(remaining) == {"kty", "n", "e", "kid", "use", "alg"}
    assert RSAAlgorithm.from_jwk(remaining) == second.key.public_key()


def test_the_published_jwks_holds_no_private_member(keys) -> None:
    private = RSAAlgorithm.to_jwk(key_store.parsed(keys.private_key_pem), as_dict=True) | {"kid": "x"}
    jwks = key_store.public_set(orjson.dumps({"keys": [private, {"kty": "oct", "k": "secret"}, "x"], "d": "secret"}))
    assert jwks == {"keys": [{name: private[name] for name in ("kty", "n", "e", "kid")}]}


def test_the_command_and_test_connection_use_the_same_keys(tmp_path: Path, sandbox, connect, keys, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", '{"conn_type": "ecw", "extra": {"key_id": "none"}}')
    run = CliRunner()
    assert run.invoke(group, ["keys", "new"]).exit_code == 0
    (first,) = key_store.keys(tmp_path / "ecw_keys")
    url = keys.serve("rotated.json", (tmp_path / "ecw_keys" / "jwks.json").read_bytes())
    rotation = run.invoke(group, ["keys", "rotate"])
    assert f"ecw keys retire {first.kid}" in rotation.output
    second = key_store.keys(tmp_path / "ecw_keys")[1]
    assert second.kid in run.invoke(group, ["keys", "show"]).output
    sandbox.register("rotating", jwks_url=keys.serve("live.json", {"keys": [first.jwk, second.jwk]}))
    rotating = {"client_id": "rotating", "private_key": second.path.read_text(), "key_id": second.kid}
    ok, text = in_words(steps(connect(sandbox, jwks_url=url, **rotating)))
    assert (ok, "has no key with the connection's key_id" in text) == (False, True)  # not published yet
    assert in_words(steps(connect(sandbox, jwks_url=keys.serve("rotated.json", {"keys": [second.jwk]}), **rotating)))[0]
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", f'{{"conn_type": "ecw", "extra": {{"key_id": "{first.kid}"}}}}')
    refused = run.invoke(group, ["keys", "retire", first.kid])
    assert isinstance(refused.exception, ConfigurationError)
    assert "still signs with" in str(refused.exception)
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", f'{{"conn_type": "ecw", "extra": {{"key_id": "{second.kid}"}}}}')
    assert run.invoke(group, ["keys", "retire", first.kid]).exit_code == 0

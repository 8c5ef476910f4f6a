"""The private key of a connection: the forms that are read, and the errors, which never quote it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ecw.errors import ConfigurationError
from ecw.fhir.keys.private_key import read_private_key


def is_same_key(one: str, other: str) -> bool:
    return (
        load_pem_private_key(one.encode(), None).private_numbers()
        == load_pem_private_key(other.encode(), None).private_numbers()
    )


@pytest.mark.parametrize(
    "reformat",
    [
        pytest.param(lambda pem: pem, id="unchanged"),
        pytest.param(lambda pem: pem.replace("\n", ""), id="pasted into a one-line field"),
        pytest.param(lambda pem: pem.replace("\n", " "), id="blanks for line ends"),
        pytest.param(lambda pem: pem.replace("\n", "\\n"), id="backslash-n from a JSON file"),
        pytest.param(lambda pem: "  " + pem.replace("\n", "\r\n") + "\n", id="line ends of Windows"),
    ],
)
def test_a_pem_text_is_read_whatever_its_line_ends(keys, reformat):
    assert is_same_key(read_private_key(reformat(keys.private_key_pem)), keys.private_key_pem)


def test_the_path_of_a_key_file_is_read(keys, tmp_path: Path):
    (tmp_path / "key.pem").write_text(keys.private_key_pem)
    assert is_same_key(read_private_key(str(tmp_path / "key.pem")), keys.private_key_pem)


def test_the_older_pkcs1_form_is_read(keys):
    key = load_pem_private_key(keys.private_key_pem.encode(), None)
    pkcs1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert is_same_key(read_private_key(pkcs1), keys.private_key_pem)


def locked(pem: str) -> str:
    key = load_pem_private_key(pem.encode(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()


def elliptic(_: str) -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda pem: "/nowhere/key.pem", "nor the path of a file"),
        (lambda pem: "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 60, "nor the path of a file"),
        (lambda pem: "key\0.pem", "nor the path of a file"),
        (lambda pem: pem[: len(pem) // 2], "holds no PEM text"),
        (lambda pem: pem.replace("MII", "XXX", 1), "damaged"),
        (locked, "passphrase"),
        (elliptic, "not an RSA key"),
    ],
)
def test_the_error_about_an_unusable_key_gives_the_reason_and_never_quotes_the_key(keys, make, message):
    value = make(keys.private_key_pem)
    with pytest.raises(ConfigurationError) as refused:
        read_private_key(value)
    assert "private_key" in str(refused.value)
    assert message in str(refused.value)
    assert "PEM text of the RSA private key" in refused.value.next_step
    assert not any(line in str(refused.value) for line in value.split() if len(line) > 40)
    assert refused.value.__cause__ is None


def test_a_short_key_is_refused():
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - meant
    with pytest.raises(ConfigurationError, match="1024 bits"):
        read_private_key(short.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o440, False), (0o644, True), (0o620, True)])
def test_a_key_file_that_others_may_read_causes_a_warning(keys, tmp_path: Path, caplog, mode, warned):
    path = tmp_path / "key.pem"
    path.write_text(keys.private_key_pem)
    path.chmod(mode)
    read_private_key(str(path))
    assert ("chmod 600" in caplog.text) == warned


def test_the_error_is_the_same_whatever_file_the_path_names(tmp_path: Path, caplog):
    """Otherwise a user who may edit a connection could learn which files the server has."""
    (tmp_path / "text").write_text("no key")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    messages = set()
    for path in ("nowhere", "text", "binary", "."):
        with pytest.raises(ConfigurationError) as wrong:
            read_private_key(str(tmp_path / path))
        messages.add(str(wrong.value))
    assert len(messages) == 1
    for reason in ("No such file", "holds no PEM text", "not a text file", "Is a directory"):
        assert reason in caplog.text  # the log gives the reason
    assert str(tmp_path) not in messages.pop()

"""The private key of a connection: PEM text, or the path of a file that holds it."""

from __future__ import annotations

import logging
import os
import re
import stat
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ecw.errors import ConfigurationError

FIELD = "private_key"
MAX_BYTES = 100_000
MIN_BITS = 2048  # NIST SP 800-57: shorter RSA keys are not to be used
log = logging.getLogger(__name__)
_PEM = re.compile(r"(-----BEGIN [A-Z ]+-----)(.*?)(-----END [A-Z ]+-----)", re.DOTALL)


def read_private_key(value: str) -> str:
    """Return the key as PEM text; `value` is PEM text or the path of a file.

    Airflow's form and many secret stores keep only one line: line breaks that were lost or written as backslash-n are
    restored.

    Raises ConfigurationError; its message never holds the value, which may be the key itself.
    """
    is_text = "-----BEGIN" in value
    text = value.strip() if is_text else _file(value.strip())
    found = _PEM.search(text.replace("\\n", "\n"))
    if found is None and not is_text:
        raise _no_file("it holds no PEM text")
    if found is None:
        raise _wrong("holds no PEM text (-----BEGIN PRIVATE KEY----- … -----END PRIVATE KEY-----)")
    begin, body, end = found.groups()
    pem = f"{begin}\n" + "\n".join(re.findall(".{1,64}", re.sub(r"\s", "", body))) + f"\n{end}\n"
    try:
        key = parsed(pem)
    except TypeError:
        raise _wrong("is protected by a passphrase, which a scheduler cannot type") from None
    except ValueError:
        raise _wrong("looks like PEM, but its text is damaged or is not a private key") from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@lru_cache(maxsize=8)
def parsed(pem: str) -> RSAPrivateKey:
    """Return the key of a PEM text; cached, because parsing checks the primes, which takes 60 ms.

    Raises ConfigurationError if it is not an RSA key or too short, and the errors of `load_pem_private_key`.
    """
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise _wrong("is not an RSA key, which RS384 needs")
    if key.key_size < MIN_BITS:
        raise _wrong(f"is an RSA key of {key.key_size} bits, and fewer than {MIN_BITS} are not safe")
    return key


def _file(path: str) -> str:
    try:
        with Path(path).expanduser().open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(MAX_BYTES)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no home directory for `~`
        raise _no_file(error.strerror if isinstance(error, OSError) and error.strerror else "not a text file") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        log.warning("The file of the connection's field %s is open to others (mode %o): chmod 600 it.", FIELD, mode)
    return text


def _no_file(reason: str) -> ConfigurationError:
    """Log the reason and return the same error for every file: Test Connection must not reveal which files exist."""
    log.warning("The file of the connection's field %s cannot be used: %s.", FIELD, reason)
    return _wrong("is neither PEM text nor the path of a file with such text that this machine can read")


def _wrong(how: str) -> ConfigurationError:
    return ConfigurationError(
        f"The connection's field {FIELD} {how}.",
        next_step="put the whole PEM text of the RSA private key, or the path of its file on every worker, into it.",
    )

"""The private key of a connection: PEM text, or the path of a file that holds it."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ecw.errors import ConfigurationWrong

FIELD = "private_key"
_PEM = re.compile(r"(-----BEGIN [A-Z ]+-----)(.*?)(-----END [A-Z ]+-----)", re.DOTALL)


def read_private_key(value: str) -> str:
    """Return the key as PEM text, whatever way it was given.

    Airflow's form and many secret stores keep one line only: line ends that were lost or written as
    backslash-n are put back.

    Raises ConfigurationWrong; its text never holds the value, which may be the key itself.
    """
    text = value.strip() if "-----BEGIN" in value else _file(value.strip())
    found = _PEM.search(text.replace("\\n", "\n"))
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
    """Return the key of a PEM text; kept, because to parse one is to check its primes, which takes 60 ms.

    Raises ConfigurationWrong where it is another kind of key, and what `load_pem_private_key` raises.
    """
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise _wrong("is not an RSA key, which RS384 needs")
    return key


def _file(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a text file"
        raise _wrong(f"is neither PEM text nor the path of a file that this machine can read ({reason})") from None


def _wrong(how: str) -> ConfigurationWrong:
    return ConfigurationWrong(
        f"The connection's field {FIELD} {how}.",
        next_move="put the whole PEM text of the RSA private key, or the path of its file on every worker, into it.",
    )

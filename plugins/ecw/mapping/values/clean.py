"""The cleaning functions that a mapping file names under `clean`; each handles a peculiarity of real eCW data.

Each takes eCW's text and returns the cleaned value, or None if it is empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType

from ecw.mapping.vocabulary import is_null_date

Cleaner = Callable[[str], "str | bool | None"]


def trim(text: str) -> str | None:
    """Remove blanks at both ends; a text of blanks becomes empty."""
    return text.strip() or None


def commas_to_spaces(text: str) -> str | None:
    """Turn commas into blanks: eCW has given names such as `Mary,Ann`."""
    return " ".join(text.replace(",", " ").split()) or None


def phone_digits(text: str) -> str | None:
    """Keep the ten digits of a US phone number; leave any other number as it is."""
    number = text.strip()
    digits = re.sub(r"\D", "", number)
    if len(digits) == 11 and digits[0] == "1":
        return digits[1:]
    # A + is followed by the country code: +49 30 123456 has ten digits, too.
    return digits if len(digits) == 10 and number[0] != "+" else number or None


def us_zip(text: str) -> str | None:
    """Write nine digits as 12345-6789."""
    digits = text.strip()
    return (
        f"{digits[:5]}-{digits[5:]}" if len(digits) == 9 and digits.isascii() and digits.isdigit() else digits or None
    )


def lower(text: str) -> str | None:
    """Write in lower case."""
    return text.strip().lower() or None


def upper(text: str) -> str | None:
    """Write in upper case."""
    return text.strip().upper() or None


def active_status(text: str) -> bool | None:
    """Return True if a status is `active`."""
    return text == "active"


def date_means_true(text: str) -> bool | None:
    """Return True for any date, also for a year only; a null date becomes empty."""
    return None if is_null_date(text) else True


def drop_partial_date(text: str) -> str | None:
    """Make a year, or a year and month, empty: FHIR allows both as dates."""
    return text if len(text) >= 10 else None


def drop_search_reference(text: str) -> str | None:
    """Make a reference that is a search (`Type?identifier=…`) empty: it names no record."""
    return None if "?" in text else text


CLEANERS: MappingProxyType[str, Cleaner] = MappingProxyType(
    {
        cleaner.__name__: cleaner
        for cleaner in (
            trim,
            commas_to_spaces,
            phone_digits,
            us_zip,
            lower,
            upper,
            active_status,
            date_means_true,
            drop_partial_date,
            drop_search_reference,
        )
    }
)

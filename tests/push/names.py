"""Patients that differ so much that no two are near matches."""

from __future__ import annotations

from typing import Any

NAMES = (
    *("Abernathy", "Bukowski", "Czerwinski", "Delacroix", "Eriksen", "Fujimoto", "Gutierrez", "Hawthorne", "Ivanovich"),
    *("Jablonski", "Kristofferson", "Lindqvist", "Montgomery", "Nakamura", "Oppenheimer", "Papadopoulos", "Quimby"),
    *("Rasmussen", "Szymanski", "Tchaikovsky", "Underwood", "Vandenberg", "Wojciechowski", "Xiang", "Yamaguchi"),
    "Zuniga",
)


def person(at: int) -> dict[str, Any]:
    """Return the CRM columns of patient number `at`: no two have the same name and birth date."""
    year, again = 50 + at // len(NAMES) % 50, at // len(NAMES) // 50
    return {
        "identifier": f"P-{at:04}",
        "last_name": NAMES[at % len(NAMES)],
        "birth_date": f"19{year:02}-0{1 + at % 9}-1{again}",
        "phone": None,
    }

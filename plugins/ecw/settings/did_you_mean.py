"""Suggest the nearest known word for a wrong one."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def did_you_mean(word: str, words: Collection[str]) -> str:
    """Return "did you mean 'x'?" with the nearest of the words, or "use one of: ..." with all of them."""
    if not words:
        return "there is none yet"
    near = get_close_matches(word, words, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(words)}"

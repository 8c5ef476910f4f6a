"""Suggest the nearest known word for a wrong one."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def nearest(word: str, words: Collection[str], cutoff: float = 0.6) -> str | None:
    """Return the word that is most like this one, None if no word is at least as similar as the cutoff."""
    near = get_close_matches(word, words, n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(word: str, words: Collection[str]) -> str:
    """Return "did you mean 'x'?" with the nearest of the words, or "use one of: ..." with all of them."""
    if not words:
        return "there is none yet"
    near = nearest(word, words)
    return f"did you mean {near!r}?" if near is not None else f"use one of: {', '.join(words)}"

"""include/mappings/README.md says what the code knows, word for word."""

from __future__ import annotations

import re

from ecw.mapping.definition.files import mappings_folder
from ecw.mapping.definition.mapping_file import ColumnEntry, GroupEntry, MappingFile, PolicyEntry
from ecw.mapping.values.clean import CLEANERS
from ecw.mapping.vocabulary import ON_CONFLICT, SYNC, TYPES, UNMAPPED, UPDATE

KEYS = [
    {field.alias or name: field.description or "" for name, field in model.model_fields.items()}
    for model in (MappingFile, GroupEntry, ColumnEntry, PolicyEntry)
]
README = (mappings_folder() / "README.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \|$", re.MULTILINE)
WORDS = {
    **{key: text for keys in KEYS for key, text in keys.items()},
    **TYPES,
    **SYNC,
    **ON_CONFLICT,
    **UPDATE,
    **UNMAPPED,
    **{name: (cleaner.__doc__ or "").splitlines()[0] for name, cleaner in CLEANERS.items()},
}


def test_every_word_is_explained_as_the_code_explains_it() -> None:
    told = ROW.findall(README)
    rows = {(word, text.replace(" (the default)", "")) for word, text in told if text}
    headers = {"type", "sync", "on_conflict", "update", "clean", "unmapped"}
    assert {word for word, _ in rows} == set(WORDS) | {"column"}
    for word, text in rows:
        options = [words[word] for words in KEYS if word in words]
        options += [words[word] for words in (TYPES, SYNC, ON_CONFLICT, UPDATE, UNMAPPED) if word in words]
        options += [(CLEANERS[word].__doc__ or "").splitlines()[0]] if word in CLEANERS else []
        assert text in options, word
    assert headers <= set(re.findall(r"^\| `(\w+)` \| \|$", README, re.MULTILINE))


def test_it_is_one_page() -> None:
    assert len(README.splitlines()) <= 140


def test_every_cleaning_function_says_what_it_does() -> None:
    assert all(cleaner.__doc__ for cleaner in CLEANERS.values())

"""include/mappings/README.md explains every key and value with the text of the code."""

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
KEYS_AND_VALUES = {
    **{key: text for keys in KEYS for key, text in keys.items()},
    **TYPES,
    **SYNC,
    **ON_CONFLICT,
    **UPDATE,
    **UNMAPPED,
    **{name: (cleaner.__doc__ or "").splitlines()[0] for name, cleaner in CLEANERS.items()},
}


def test_every_key_and_value_has_the_text_of_the_code() -> None:
    rows = {(word, text.replace(" (the default)", "")) for word, text in ROW.findall(README) if text}
    headers = {"type", "sync", "on_conflict", "update", "clean", "unmapped"}
    assert {word for word, _ in rows} == set(KEYS_AND_VALUES) | {"column"}
    for word, text in rows:
        options = [words[word] for words in KEYS if word in words]
        options += [words[word] for words in (TYPES, SYNC, ON_CONFLICT, UPDATE, UNMAPPED) if word in words]
        options += [(CLEANERS[word].__doc__ or "").splitlines()[0]] if word in CLEANERS else []
        assert text in options, word
    assert headers <= set(re.findall(r"^\| `(\w+)` \| \|$", README, re.MULTILINE))


def test_the_page_has_at_most_140_lines() -> None:
    assert len(README.splitlines()) <= 140


def test_every_cleaning_function_has_a_docstring() -> None:
    assert all(cleaner.__doc__ for cleaner in CLEANERS.values())

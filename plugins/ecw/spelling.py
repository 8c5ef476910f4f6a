"""Decide whether a text is a shorter or another spelling of a text that was sent to another system.

A system may truncate a text to the length of a field, store it in capitals, drop accents and punctuation, replace
letters that it does not have, and abbreviate addresses as the postal service does.  All of these are the same value.
"""

from __future__ import annotations

import html
import re
import unicodedata

from text_unidecode import unidecode  # type: ignore[import-untyped]  # it has no types

from ecw.identity.text import fold

_WORD = re.compile(r"[^\W_]+|\?")
_PHONE = re.compile(r"[\d\s().+/-]+")
LEAST_DIGITS = 7  # of a telephone number without area and country code

# The common abbreviations of USPS Publication 28, appendices B, C1 and C2.
_SHORT = {
    short: words.split()
    for short, words in {
        "aly": "alley", "apt": "apartment", "ave": "avenue av", "bch": "beach", "bldg": "building", "blvd": "boulevard",
        "bsmt": "basement", "cir": "circle", "ct": "court", "ctr": "center centre", "cv": "cove", "cyn": "canyon",
        "dept": "department", "dr": "drive", "e": "east", "est": "estate", "expy": "expressway", "ext": "extension",
        "fl": "floor", "frnt": "front", "ft": "fort", "fwy": "freeway", "gdns": "gardens", "grv": "grove",
        "hts": "heights", "hwy": "highway", "is": "island", "jct": "junction", "ln": "lane", "lndg": "landing",
        "mdw": "meadow", "mdws": "meadows", "mnr": "manor", "mt": "mount", "mtn": "mountain", "n": "north",
        "ne": "northeast", "nw": "northwest", "ofc": "office", "ovlk": "overlook", "pkwy": "parkway", "pl": "place",
        "plz": "plaza", "pt": "point", "rd": "road", "rdg": "ridge", "riv": "river", "rm": "room", "rte": "route",
        "s": "south", "se": "southeast", "shr": "shore", "spc": "space", "spg": "spring", "spgs": "springs",
        "sq": "square", "st": "street saint", "sta": "station", "ste": "suite", "sw": "southwest", "ter": "terrace",
        "tpke": "turnpike", "trl": "trail", "trlr": "trailer", "vis": "vista", "vlg": "village", "vly": "valley",
        "vw": "view", "w": "west", "xing": "crossing",
        "jr": "junior", "sr": "senior", "us": "usa",
    }.items()
}  # fmt: skip
_SHORTENED = {word: short for short, words in _SHORT.items() for word in words}
_STATES = {
    "al": "alabama", "ak": "alaska", "az": "arizona", "ar": "arkansas", "ca": "california", "co": "colorado",
    "ct": "connecticut", "de": "delaware", "fl": "florida", "ga": "georgia", "hi": "hawaii", "id": "idaho",
    "il": "illinois", "in": "indiana", "ia": "iowa", "ks": "kansas", "ky": "kentucky", "la": "louisiana",
    "me": "maine", "md": "maryland", "ma": "massachusetts", "mi": "michigan", "mn": "minnesota",
    "ms": "mississippi", "mo": "missouri", "mt": "montana", "ne": "nebraska", "nv": "nevada", "nh": "newhampshire",
    "nj": "newjersey", "nm": "newmexico", "ny": "newyork", "nc": "northcarolina", "nd": "northdakota", "oh": "ohio",
    "ok": "oklahoma", "or": "oregon", "pa": "pennsylvania", "ri": "rhodeisland", "sc": "southcarolina",
    "sd": "southdakota", "tn": "tennessee", "tx": "texas", "ut": "utah", "vt": "vermont", "va": "virginia",
    "wa": "washington", "wv": "westvirginia", "wi": "wisconsin", "wy": "wyoming", "dc": "districtofcolumbia",
    "pr": "puertorico",
}  # fmt: skip
_NAMES = {*_STATES.items(), ("us", "unitedstates"), ("usa", "unitedstates"), ("us", "unitedstatesofamerica")}


def is_respelled(sent: str, shown: str) -> bool:
    """Return True if `shown` may be how a system stores `sent`: another spelling of it, or its beginning.

    An empty text is never another spelling.
    """
    shown = html.unescape(shown)
    if not fold(shown):
        return False
    if fold(sent) == fold(shown) or _is_phone(sent, shown):
        return True
    if (fold(shown), fold(sent)) in _NAMES:
        return True
    return any(
        _begins(spell(sent), spell(shown)) or _begins(_short(spell(sent)), _short(spell(shown)))
        for spell in (_plain, unidecode, _ascii)
    )


def _begins(sent: str, shown: str) -> bool:
    """Return True if `sent` begins with `shown`; a question mark in `shown` matches any letter."""
    text, start = _letters(sent), _letters(shown)
    return (
        0 < len(start) <= len(text)
        and all(letter in ("?", expected) for letter, expected in zip(start, text, strict=False))
        and any(letter != "?" for letter in start)
    )


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if character.isalnum() or character == "?")


def _short(text: str) -> str:
    """Return a text with the postal service's abbreviations."""
    return " ".join(_SHORTENED.get(word, word) for word in _WORD.findall(unicodedata.normalize("NFC", text).casefold()))


def _plain(text: str) -> str:
    return text


def _ascii(text: str) -> str:
    """Return a text without the letters that an old system drops: all that are not ASCII."""
    return "".join(character for character in unicodedata.normalize("NFC", text) if character.isascii())


def _is_phone(sent: str, shown: str) -> bool:
    """Return True for two spellings of a telephone number, also if one lacks the country or area code."""
    if not (_PHONE.fullmatch(sent) and _PHONE.fullmatch(shown)):
        return False
    one, other = (re.sub(r"\D", "", text) for text in (sent, shown))
    short, long = sorted((one, other), key=len)
    return len(short) >= LEAST_DIGITS and long.endswith(short)

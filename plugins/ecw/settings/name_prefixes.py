"""The first characters of names: a name sweep searches for each, if a server has no search without a name.

Every run searches for a to z and 0 to 9, for the most common others, and for the first characters of known names: those
of the CRM's rows, and of the records found so far. There are too many characters to search for all of them: the runs
take turns with further characters of other scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

ALWAYS = "abcdefghijklmnopqrstuvwxyz0123456789"
# Latin letters that searches do not fold into a to z, and the most common family names of China and Korea.
COMMON = "łøđæœþðßıħŋə王李张陈刘杨黄赵周吴김이박최정"
# Letters of other scripts, and more family names of China and Korea; those of known names are always searched.
OTHERS = (
    "αβγδεζηθικλμνξοπρστυφχψω"
    "абвгдежзийклмнопрстуфхцчшщэюяіїєґјљњћџ"
    "אבגדהוזחטיכלמנסעפצקרשת"
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويپچگ"
    "अआइईउएओकखगघचछजझटडतथदधनपफबभमयरलवशषसह"
    "กขคจชณดตถทธนบปผพภมยรลวศสหอ"
    "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖田董潘袁蔡蒋蔣余于杜叶葉程魏苏蘇"
    "김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심"
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわ"
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワ"
)


def of_record(resource: Mapping[str, Any]) -> Iterator[str]:
    """Yield the first characters of the names of a record."""
    names = resource.get("name")
    if isinstance(names, str):
        yield from of_texts([names])
    for name in names if isinstance(names, list) else ():
        if isinstance(name, Mapping):
            given = name.get("given")
            yield from of_texts(
                [name.get("family"), name.get("text"), *(given if isinstance(given, list) else [given])]
            )


def of_texts(texts: Iterable[Any]) -> Iterator[str]:
    """Yield the first character of each text that has one."""
    for text in texts:
        if isinstance(text, str) and (stripped := text.strip()):
            yield stripped[0].casefold()[0]

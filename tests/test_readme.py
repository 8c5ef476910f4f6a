"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from docs.generate import README, generated

ROOT = Path(__file__).resolve().parents[1]


def test_the_tables_are_those_of_the_code() -> None:
    assert README.read_text() == generated(README.read_text()), "run `make docs`"


def test_every_make_target_and_variable_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z-]+)", README.read_text()))
    assert {"run", "test", "help"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.M), f"README names `make {target}`"
    demo = (ROOT / "include" / "demo" / "demo.py").read_text()
    for variable in set(re.findall(r"\b([A-Z_]+)=", README.read_text())) - {"PIP_INDEX_URL", "HTTPS_PROXY"}:
        if not variable.startswith("AIRFLOW__"):
            assert f'"{variable}"' in demo, f"README names {variable}="


def test_every_path_it_names_exists() -> None:
    paths = set(re.findall(r"`((?:include|plugins|dags|docs)/[\w./*-]*)`", README.read_text()))
    assert len(paths) > 3
    for path in paths:
        assert list(ROOT.glob(path)), f"README names {path}"

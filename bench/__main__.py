"""`make bench`: every figure that the project claims, measured here and now.

Prints a table and writes bench/results.json.  Names as arguments measure only those modules:
`python -m bench dag_parse`.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_MEASURES = {"__init__", "__main__", "result", "extracting"}


def main() -> None:
    """Measure, print, write."""
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_MEASURES)
    found = []
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        found += importlib.import_module(f"bench.{name}").results()
    print(f"{'name':40} {'value':>12} {'unit':8} {'baseline':>12} {'ratio':>8}")
    for result in found:
        baseline, ratio = (f"{result[key]:g}" if result[key] is not None else "-" for key in ("baseline", "ratio"))
        print(f"{result['name']:40} {result['value']:>12g} {result['unit']:8} {baseline:>12} {ratio:>8}")
    (HERE / "results.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

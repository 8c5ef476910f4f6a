"""`make bench`: measure every figure that the project claims.

Prints a table and writes bench/results.json. Arguments select modules: `python -m bench dag_parse`.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from bench.result import Result

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"__init__", "__main__", "result", "extracting"}


def main() -> None:
    """Run the benchmarks, print a table, and write the results."""
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    measured: list[Result] = []
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        measured += importlib.import_module(f"bench.{name}").results()
    print(f"{'name':40} {'value':>12} {'unit':8} {'baseline':>12} {'ratio':>8}")
    for result in measured:
        baseline, ratio = (f"{result[key]:g}" if result[key] is not None else "-" for key in ("baseline", "ratio"))
        print(f"{result['name']:40} {result['value']:>12g} {result['unit']:8} {baseline:>12} {ratio:>8}")
    (HERE / "results.json").write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()

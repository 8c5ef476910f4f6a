"""Put the DAG files, mappings and quality suites into a wheel as `ecw/project/`, which pyproject.toml cannot do.

`ecw.project_files` finds them there if the package is installed without the project's folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CARRIED = {"dags": "dags", "include/mappings": "mappings", "include/quality": "quality"}


class BuildWithProject(build_py):
    """Copy files from outside the package into a wheel; an editable installation reads them in place."""

    def run(self) -> None:
        """Build the package, then add the project's files."""
        super().run()
        if not self.editable_mode:
            for source, name in CARRIED.items():
                target = Path(self.build_lib, "ecw", "project", name)
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))


setup(cmdclass={"build_py": BuildWithProject})

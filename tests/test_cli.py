"""The `ecw` command: its help lists the commands, and an error is one message."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from ecw.cli import COMMANDS, group

ECW = Path(sys.executable).parent / "ecw"


def test_every_command_has_a_line_in_the_help() -> None:
    result = CliRunner().invoke(group, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.output


def test_an_error_of_the_project_is_one_message_and_exit_code_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [ECW, "settings", "apply", "--file", "nowhere.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ConfigurationError: nowhere.yaml cannot be read")
    assert "Traceback" not in done.stderr

"""The tutorial does what it says."""

from pathlib import Path

import pytest

from tests.support.shell_blocks import missing_lines, quick_oriel_in, run_block, shell_blocks

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "first-report.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_of_the_tutorial_runs_and_prints_what_it_promises(tmp_path, tmp_path_factory):
    programs = quick_oriel_in(tmp_path_factory.mktemp("programs"))
    blocks = shell_blocks(TUTORIAL)
    assert blocks, "the tutorial has shell blocks"
    for block in blocks:
        printed = run_block(block, tmp_path, programs)
        assert missing_lines(block, printed) == [], printed

"""A fit whose process is killed ends with the very same bytes."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_fit_killed_within_its_epochs_ends_bit_equal(tmp_path):
    command = [sys.executable, "-m", "tests.support.killed_fit", str(tmp_path)]
    begun = []
    for moment in (4, 13):  # of ten steps an epoch
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for _ in range(moment):
                assert process.stdout.readline() == b"step\n"
            process.kill()
            begun.append(moment + process.stdout.read().count(b"step"))
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    left = ended.stdout.count(b"step")
    killed, whole = (tmp_path / f"{name}.safetensors" for name in ("killed", "whole"))
    assert killed.read_bytes() == whole.read_bytes()
    assert left < 30, "it went on, rather than start again"
    assert sum(begun) + left >= 30

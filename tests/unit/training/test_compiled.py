"""Compiled programs go from run to run, and never in halves."""

import os
import subprocess
import sys

import jax
import pytest

from services.training import compiled
from services.training.compiled import CompiledPrograms

_SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
    "jax_persistent_cache_enable_xla_caches",
)


@pytest.fixture(autouse=True)
def _settings_set_back():
    before = {name: getattr(jax.config, name) for name in _SETTINGS}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def begun(folder, number):
    programs = CompiledPrograms(folder / f"run{number}" / ".compiled", folder / "kept")
    programs.begin()
    return programs, folder / f"run{number}" / ".compiled"


def test_a_run_that_ended_well_leaves_its_programs_to_the_next(tmp_path):
    programs, own = begun(tmp_path, 1)
    (own / "step-cache").write_bytes(b"whole")
    programs.end()
    assert not own.exists()
    assert (begun(tmp_path, 2)[1] / "step-cache").read_bytes() == b"whole"


def test_what_a_killed_run_left_is_gone_when_it_starts_again(tmp_path):
    _, own = begun(tmp_path, 1)
    (own / "step-cache").write_bytes(b"ha")
    assert not list(begun(tmp_path, 1)[1].iterdir())


def test_a_program_that_is_kept_is_not_written_again(tmp_path):
    for number, content in enumerate((b"first", b"second")):
        programs, own = begun(tmp_path, number)
        (own / "step-cache").write_bytes(content)
        programs.end()
    assert (tmp_path / "kept" / "step-cache").read_bytes() == b"first"
    assert [each.name for each in (tmp_path / "kept").iterdir()] == ["step-cache"]


def test_the_oldest_programs_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "LIMIT_BYTES", 10)
    programs, own = begun(tmp_path, 1)
    for age, name in enumerate(("new", "old")):
        (own / name).write_bytes(b"123456")
        os.utime(own / name, (1000 - age, 1000 - age))
    programs.end()
    assert [each.name for each in (tmp_path / "kept").iterdir()] == ["new"]


def test_the_next_run_of_the_same_models_compiles_nothing(tmp_path):
    program = """
import sys
from pathlib import Path
from services.training.compiled import CompiledPrograms
programs = CompiledPrograms(Path(sys.argv[1]), Path(sys.argv[2]))
programs.begin()
import jax
jax.jit(lambda x: x * 2 + 1)(jax.numpy.arange(3.0)).block_until_ready()
print(len(list(Path(sys.argv[1]).iterdir())))
programs.end()
"""
    counts = []
    for number in range(2):
        own = tmp_path / f"run{number}" / ".compiled"
        command = [sys.executable, "-c", program, str(own), str(tmp_path / "kept")]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        counts.append(int(answer.stdout))
    assert counts[0] == counts[1] == len(list((tmp_path / "kept").iterdir()))

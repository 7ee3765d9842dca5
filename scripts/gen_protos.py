"""Generates the committed stubs in shared/gen from protos/, or checks that they are fresh."""

import argparse
import filecmp
import importlib.resources
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS, STUBS = ROOT / "protos", ROOT / "shared" / "gen"
WELL_KNOWN = str(importlib.resources.files("grpc_tools") / "_proto")
INCLUDES = [f"-I{folder}" for folder in (PROTOS, WELL_KNOWN, sysconfig.get_path("purelib"))]


def sources() -> list[str]:
    """Proto files relative to their root, sorted."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def run_protoc(*outputs: str) -> None:
    """Runs protoc with our include paths; raises SystemExit when it fails."""
    plugins = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([plugins, os.environ.get("PATH", "")])
    status = protoc.main(["protoc", *INCLUDES, *outputs, *sources()])
    if status:
        raise SystemExit(status)


def generate(target: Path) -> None:
    """Writes messages, services and their types below target, each folder a package."""
    target.mkdir(parents=True, exist_ok=True)
    outputs = ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")
    run_protoc(*(f"--{output}={target}" for output in outputs))
    for folder in (target / "oriel").rglob("*"):
        if folder.is_dir():
            (folder / "__init__.py").touch()
    (target / "oriel" / "__init__.py").touch()


def differences(fresh: Path, committed: Path) -> list[str]:
    """Names of stub files that differ between the two trees."""
    names = {
        str(path.relative_to(tree))
        for tree in (fresh, committed)
        for path in (tree / "oriel").rglob("*")
        if path.is_file() and path.suffix in {".py", ".pyi"}
    }
    same, _, _ = filecmp.cmpfiles(fresh, committed, sorted(names), shallow=False)
    return sorted(names - set(same))


def main() -> None:
    """Entry point of `make protos` and of the freshness check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the stubs are stale")
    parser.add_argument("--image", help="write a descriptor set for buf and stop")
    arguments = parser.parse_args()
    if arguments.image:
        Path(arguments.image).parent.mkdir(parents=True, exist_ok=True)
        run_protoc(
            f"--descriptor_set_out={arguments.image}", "--include_imports", "--include_source_info"
        )
        return
    if not arguments.check:
        shutil.rmtree(STUBS / "oriel", ignore_errors=True)
        generate(STUBS)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = differences(Path(folder), STUBS)
    if stale:
        sys.exit(f"stale stubs, run `make protos`: {', '.join(stale)}")


if __name__ == "__main__":
    main()

"""Tables in this folder's README that benchmarks write themselves."""

from benchmarks.machine import ROOT, machine

_README = ROOT / "benchmarks" / "README.md"


def write_section(name: str, table: str) -> None:
    """Put a table between the README's marks of that name, and what it was measured on.

    Raises:
        ValueError: The README has no such marks.
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, first, rest = _README.read_text(encoding="utf-8").partition(start)
    _, second, after = rest.partition(end)
    if not (first and second):
        raise ValueError(f"README.md has no {start} … {end}")
    on = machine()
    load = on["load_of_all"][0]
    where = f"Measured on {on['cpu']}, {on['cores']} cores; load average at the end {load}."
    text = f"{before}{start}\n{table}\n\n{where}\n{end}{after}"
    _README.write_text(text, encoding="utf-8")

"""Write docs/reliability.md from the tests: `python -m tests.faults.publish`. A test tells when it is due."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.faults.table import NOTHING, Fault

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
HEAD = """\
# Reliability

What a bad network, a full disk, a broken registry or a killed process do to a deploy. Each row is a test against
real parts (sshd, Docker Engine, a registry): it produces the fault, compares what `dev` says with this page, and then
asserts that

- no row in the database and no file in the workspace is lost, and the stack that was there is there;
- nothing is stuck: no lock, no half release, no temporary file, here or on the host;
- the report was true: exit code, message and state of each stack are what really runs;
- the next plain `dev deploy` converges.

`…` replaces what differs. *CI* runs with every change, *all* with `bin/test --all`. This page is written by
`python -m tests.faults.publish`.

| | what happens | what the user sees | what to do | runs in |
|---|---|---|---|---|
"""
NOT_PRODUCED = (
    (
        29,
        "The clock of a host is wrong",
        "a host of the tests is a container and has the clock of this machine; a wrong clock of `dev`, "
        "and wrong times of files on the host, are tested",
    ),
    (31, "The provider gives the address late", "`static` and `docker`, the providers there are, know it at once"),
)
COMMANDS = """
## By hand

These take minutes and are commands; short runs of the first two are tests in CI.

| command | produces |
|---|---|
| `python -m tests.faults.kills --times 50 [--seed N]` | SIGKILL at random moments; a plain deploy converges |
| `python -m tests.faults.twice --times 10` | two deploys at once: both end, truthfully, and one version runs |
| `python -m tests.faults.many --times 20` | twenty versions in a row: the disk use of the host stays flat |
"""


def faults() -> Iterator[Fault]:
    """Yield what the tests produce."""
    for path in sorted(HERE.glob("test_*.py")):
        module = import_module(f"tests.faults.{path.stem}")
        for test in vars(module).values():
            yield from getattr(test, "faults", ())


def published() -> str:
    """Return the page as it should be."""
    found = sorted(faults(), key=lambda fault: fault.number)
    rows = [_row(fault) for fault in found]
    missing = [f"| {number} | {what} | {why} |\n" for number, what, why in NOT_PRODUCED]
    missing_head = "\n## Not produced\n\n| | fault | why |\n|---|---|---|\n"
    return HEAD + "".join(rows) + missing_head + "".join(missing) + COMMANDS


def _row(fault: Fault) -> str:
    do = fault.do if fault.do != NOTHING else "–"
    cells = (str(fault.number), fault.what, _words(fault.sees), _words(do), "all" if fault.is_slow else "CI")
    return f"| {' | '.join(cells)} |\n"


def _words(text: str) -> str:
    return text.replace("|", "\\|").strip()


if __name__ == "__main__":
    PAGE.write_text(published())

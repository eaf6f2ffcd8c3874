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

What happens to a deploy on a bad network, with a full disk, a broken registry or a killed process. Each row is a
test against real parts (sshd, Docker Engine, a registry): it produces the fault, compares the output of `dev` with
this page, and then checks that

- no database row, no file of the workspace and no existing stack is lost;
- nothing is left behind: no lock, no incomplete release, no temporary file, on this machine or the host;
- the report was true: exit code, messages and the state of each stack match what is running;
- the next plain `dev deploy` succeeds.

`…` replaces text that differs. *CI* runs with every change, *all* with `bin/test --all`. This page is written by
`python -m tests.faults.publish`.

| | what happens | what the user sees | what to do | runs in |
|---|---|---|---|---|
"""
NOT_PRODUCED = (
    (
        29,
        "The clock of a host is wrong",
        "hosts of the tests are containers and share the clock of this machine; a wrong clock of `dev` "
        "and wrong file times on the host are tested",
    ),
    (31, "The provider reports the address of a host late", "the providers `static` and `docker` know it at once"),
)
COMMANDS = """
## Longer runs

These commands take minutes; short runs of the first two are part of CI.

| command | produces |
|---|---|
| `python -m tests.faults.kills --times 50 [--seed N]` | SIGKILL at random moments; the next plain deploy succeeds |
| `python -m tests.faults.twice --times 10` | two deploys at once: both report the truth, and one version runs |
| `python -m tests.faults.many --times 20` | twenty versions in a row: the disk usage of the host does not grow |
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
    missing_head = "\n## Faults without a test\n\n| | fault | why |\n|---|---|---|\n"
    return HEAD + "".join(rows) + missing_head + "".join(missing) + COMMANDS


def _row(fault: Fault) -> str:
    do = fault.do if fault.do != NOTHING else "–"
    cells = (str(fault.number), fault.what, _words(fault.sees), _words(do), "all" if fault.is_slow else "CI")
    return f"| {' | '.join(cells)} |\n"


def _words(text: str) -> str:
    return text.replace("|", "\\|").strip()


if __name__ == "__main__":
    PAGE.write_text(published())

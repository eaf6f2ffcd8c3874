"""Each folder of cases/ is a devcontainer.json and, beside it, what it must become.

`UPDATE_CASES=1` writes what comes out, to be read before it is committed.
"""

import json
import os
from pathlib import Path

import pytest

from kamal_dev import devcontainer

CASES = sorted((Path(__file__).parent / "cases").iterdir())
UPDATES = bool(os.environ.get("UPDATE_CASES"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_becomes_what_stands_beside_it(case, load):
    found = load((case / "devcontainer.json").read_text(encoding="utf-8"))
    compose = "" if found.kind == "compose" else devcontainer.as_compose(found)
    made = {
        "configuration.json": json.dumps(found.configuration, indent=2) + "\n",
        "compose.yaml": compose,
        "explained.txt": "".join(
            f"{item.where.line}: {item.key} {item.outcome}: {item.text}\n" for item in found.explanations
        ),
        "notices.txt": "".join(f"{notice}\n" for notice in found.notices),
    }
    for name, text in made.items():
        path = case / name
        if UPDATES and (text or path.exists()):
            path.write_text(text, encoding="utf-8")
        assert text == (path.read_text(encoding="utf-8") if path.exists() else ""), name

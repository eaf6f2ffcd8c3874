"""A tab in a compose file is taken exactly where Compose takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamal_dev.errors import ComposeError
from tests.compose import oracle
from tests.compose.support import load, render, text_of

HEAD = "services:\n  app:\n    image: x\n"
TAKEN = {
    "behind a value": "services:\n  app:\n    image: x\t\n",
    "behind a colon": "services:\n  app:\n    image:\tx\n",
    "behind a blank": "services:\n  app:\n    image: \tx\n",
    "before a comment": "services:\n  app:\n    image: x\t# why\n",
    "behind a key alone": "services:\t\n  app:\t\n    image: x\n",
    "before a colon": "services:\n  app:\n    image\t: x\n",
    "behind quotes": "services:\n  app:\n    image: 'x'\t\n",
    "in a list": f'{HEAD}    ports: ["1:1",\t"2:2"]\n',
    "as indentation in braces": "services:\n  app: {\n\timage: x,\n\tinit: true }\n",
    "in a word": f"{HEAD}    command: a\tb\n",
    "where a word goes on": f"{HEAD}    command: a\n      \tb\n",
    "in a text": f"{HEAD}    command: |\n      a\n      \tb\n",
}
REFUSED = {
    "as indentation": "services:\n\tapp:\n\t\timage: x\n",
    "behind a dash": f'{HEAD}    ports:\n      -\t"1:1"\n',
    "before a comment that stands alone": "services:\n\t# why\n  app:\n    image: x\n",
    "in an empty line": f"{HEAD}\t\n    init: true\n",
}


def _accepted(text: str, folder: Path) -> bool:
    (folder / "compose.yaml").write_text(text)
    try:
        oracle.configured(folder)
    except oracle.Refused:
        return False
    return True


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN)
def test_a_tab_that_compose_takes_is_taken(text: str, tmp_path: Path) -> None:
    (service,) = load(text).services
    assert (service.name, service.image) == ("app", "x")
    assert _accepted(text, tmp_path)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_a_tab_that_compose_refuses_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match=r":\d+:\d+: has a tab where YAML requires spaces"):
        load(text)
    assert not _accepted(text, tmp_path)


def test_a_tab_beside_a_build_stays() -> None:
    text = "services:\n  app:\n    build:\t.\t# here\n    volumes:\t\n      - ..:/w\t\n"
    after = "services:\n  app:\n    image: registry.example/acme/app:v1\t# here\n    volumes:\t\n      - ..:/w\t\n"
    assert text_of(render(load(text)), ".devcontainer/compose.yaml") == after
    text = "services:\n  app:\n    build:\t\n      context: ..\t\n    volumes: [..:/w]\n"
    after = "services:\n  app:\n    image: registry.example/acme/app:v1\n    volumes: [..:/w]\n"
    assert text_of(render(load(text)), ".devcontainer/compose.yaml") == after

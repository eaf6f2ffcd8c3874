"""A changed secret is another release, whose marks tell that it changed and nothing of what it is."""

from __future__ import annotations

import hashlib
import json

import pytest

from kamal_dev import compose
from kamal_dev.compose import Additions
from kamal_dev.model import Release, Secret
from kamal_dev.plan import difference
from tests.compose.support import load, overlay_of, render, text_of

TEXT = """\
services:
  app: {image: x, secrets: [file, inline]}
  web: {image: x, configs: [text], env_file: web.env}
  db: {image: y, volumes: ['./init.sql:/init.sql']}
secrets: {file: {file: ./token}, inline: {environment: PIN}}
configs: {text: {content: "pin=${PIN}"}}
"""
FILES = {"token": "1234", "web.env": "WEB=1", "init.sql": "select 1"}


def _release(**changed: str) -> Release:
    files = {f".devcontainer/{name}": changed.get(name, text) for name, text in FILES.items()}
    extra = Additions("shop", "app", secrets=("PASSWORD",))
    values = {"PASSWORD": Secret(changed.get("PASSWORD", "4321")), "PIN": Secret(changed.get("PIN", "0000"))}
    return render(load(TEXT, files=files, environment={"PIN": "[redacted]"}), extra=extra, variables=values)


def _parts(**changed: str) -> str:
    files = {f".devcontainer/{name}": changed.get(name, text) for name, text in FILES.items()}
    project = load(TEXT, files=files, environment={"PIN": "[redacted]"})
    return compose.parts(project, compose.rewritten(project, {}), _release(**changed))


def _marks(release: Release) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in overlay_of(release).splitlines():
        if line.startswith("  ") and line[2] != " ":
            service = line.strip(" :")
        if "kamal-dev.files" in line:
            found[service] = line.split()[-1].strip('"')
    return found


@pytest.mark.parametrize(
    ("changed", "restarted"),
    [("token", {"app"}), ("PIN", {"app", "web"}), ("init.sql", {"db"}), ("PASSWORD", set()), ("web.env", set())],
)
def test_a_changed_secret_is_a_new_release_and_marks_the_services_that_mount_it(
    changed: str, restarted: set[str]
) -> None:
    before, after = _release(), _release(**{changed: "5678"})
    assert before.version == after.version
    assert before.id != after.id
    assert before.digest == _release().digest
    old, new = _marks(before), _marks(after)
    assert {name for name in old if old[name] != new[name]} == restarted
    assert old.keys() == new.keys() == {"app", "web", "db"}


@pytest.mark.parametrize(
    ("changed", "variables", "services"),
    [
        ({"PASSWORD": "5678"}, ("PASSWORD",), {"app"}),
        ({"PIN": "5678"}, ("PIN",), {"app", "web"}),
        ({"PASSWORD": "5678", "web.env": "WEB=2"}, ("PASSWORD", "WEB"), {"app", "web"}),
    ],
    ids=["of the environment", "mounted", "with a variable"],
)
def test_changed_secrets_and_variables_are_named_as_what_changed(
    changed: dict[str, str], variables: tuple[str, ...], services: set[str]
) -> None:
    found = difference.compare(*(difference.read(_parts(**some)) for some in ({}, changed)))
    assert (found.variables, set(found.replaced)) == (variables, services)
    assert "5678" not in _parts(**changed)


def test_a_secret_cannot_be_found_by_trying_values_on_what_a_release_says_of_itself() -> None:
    release = _release()
    said = json.dumps([release.digest, release.id, text_of(release, "manifest.json"), _marks(release)])
    for value in ("1234", "0000", "4321"):
        for text in (value, f"/src/shop/.devcontainer/token\0{value}", f"PIN={value}", f"pin={value}"):
            assert hashlib.sha256(text.encode()).hexdigest()[:8] not in said
    others = {_release(token=str(pin)).digest for pin in range(3)} | {release.digest}
    assert len(others) == 4


def test_two_projects_have_two_hashes_of_one_secret() -> None:
    project = load("services: {app: {image: x}}\n")
    texts = [
        render(project, extra=Additions(name, "app", secrets=("PIN",)), variables={"PIN": Secret("1")}).digest
        for name in ("shop", "blog")
    ]
    assert texts[0] != texts[1]

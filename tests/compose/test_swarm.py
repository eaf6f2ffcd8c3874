"""What Swarm gets: cases as files in `swarm/`, and `docker stack config`, which needs no swarm, as the oracle.

A case has `before.yaml`, `tree/` and `case.json` like those of `cases/`; out come `stack.yaml`, `changes` and
`problems`. `UPDATE_CASES=1` writes what comes out, to be read before it is committed.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kamal_dev import compose
from kamal_dev.compose import Additions, swarm_mounts, swarm_stack
from kamal_dev.model import File, Release, Secret
from kamal_dev.model.stack_engine import SWARM_STACK, StackEngine
from kamal_dev.project.tree import WorkingTree
from tests.compose import oracle, support
from tests.compose.test_cases import Case, _check

CASES = sorted(path for path in (Path(__file__).parent / "swarm").iterdir() if path.is_dir())
# By which the containers of tasks are found.
OWN_LABELS = (
    *(f"com.docker.compose.{key}" for key in ("project", "service", "oneoff", "container-number")),
    *("kamal-dev.node", swarm_stack.DEFINITION),
)
NODE, HOME = "nodeid", "/home/ops"


def _additions(case: Case, repository: Path = support.REPOSITORY) -> Additions:
    engine = StackEngine(SWARM_STACK, is_degraded=case.settings.get("degraded", False))
    return replace(case.additions(repository), engine=engine)


def _secrets(case: Case) -> dict[str, str]:
    secrets: dict[str, str] = case.settings.get("variables", {})
    return secrets


@pytest.fixture(params=CASES, ids=lambda path: path.name)
def case(request: pytest.FixtureRequest) -> Case:
    settings = request.param / "case.json"
    return Case(request.param, json.loads(settings.read_text()) if settings.exists() else {})


def _stack_config(release: Release, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Return what `docker stack` reads in the file of a release."""
    oracle.write(release, folder)
    result = subprocess.run(
        ["docker", "stack", "config", "-c", swarm_stack.FILE],
        cwd=folder,
        env={**oracle.ENVIRONMENT, "KAMAL_DEV_NODE": NODE, "KAMAL_DEV_HOME": HOME, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    read: dict[str, Any] = YAML(typ="safe").load(result.stdout)
    return read


def test_a_case_is_translated_to_its_file(case: Case) -> None:
    project, additions = case.project(secrets=_secrets(case)), _additions(case)
    release = case.render(project, additions)
    _check(case.folder / "stack.yaml", support.text_of(release, swarm_stack.FILE).split("\n", 1)[1])
    found = swarm_stack.findings(project, additions)
    marks = {True: "warning: ", False: ""}
    _check(case.folder / "changes", "".join(f"{marks[item.is_warning]}{item}\n" for item in found.notices))
    _check(case.folder / "problems", "".join(f"{problem}\n" for problem in found.problems))
    own = [file for file in release.files if file.path.startswith("kamal-dev.swarm/")]
    _check(case.folder / "own", "".join(f"{file.mode:o} {file.path}: {file.content!r}\n" for file in own))


def test_swarm_and_compose_read_the_same(case: Case, tmp_path: Path) -> None:
    repository = tmp_path / "here" / "shop"
    for name, content in {".devcontainer/Dockerfile": b"FROM scratch\n", **case.files}.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    project = case.project(repository, WorkingTree(), compose_version=oracle.version(), secrets=_secrets(case))
    release = case.render(project, _additions(case, repository))
    stack = _stack_config(release, tmp_path / "there", _secrets(case))
    composed = oracle.configured(tmp_path / "there")
    services = {name: item for name, item in composed["services"].items() if name in project.started}
    assert stack["services"].keys() == services.keys()
    for name, expected in services.items():
        # Compose prints `$$` for `$`.
        assert _seen(stack["services"][name]) == _seen(json.loads(json.dumps(expected).replace("$$", "$"))), name


def _seen(service: dict[str, Any]) -> dict[str, Any]:
    """Return what both engines give a container, in one form."""
    environment = {name: _literal(value) for name, value in service.get("environment", {}).items() if value is not None}
    mounts = {item["target"]: item.get("read_only", False) for item in service.get("volumes", [])}
    for text in service.get("tmpfs", []):
        mounts[text.partition(":")[0]] = False
    if "shm_size" in service:
        mounts["/dev/shm"] = False
    hosts = [text.replace("=", ":", 1).replace("[", "").replace("]", "") for text in service.get("extra_hosts", [])]
    same = ("image", "command", "user", "working_dir", "init", "cap_add", "tty", "stdin_open", "sysctls", "ulimits")
    return {
        "environment": environment,
        "labels": {key: text for key, text in service.get("labels", {}).items() if key not in OWN_LABELS},
        "hostname": _literal(service.get("hostname", "")),
        "mounts": mounts,
        "networks": set(service.get("networks", {"default": None})) if "network_mode" not in service else {"default"},
        "extra_hosts": {text for text in hosts if not text.endswith("host-gateway")},
        "dns": [service["dns"]] if isinstance(service.get("dns"), str) else service.get("dns", []),
        "test": (service.get("healthcheck") or {}).get("test"),
        **{key: service.get(key) or None for key in same},
    }


def _literal(text: str) -> str:
    return text.replace('{{"{{"}}', "{{")


def test_nothing_secret_is_in_the_file_or_its_names() -> None:
    text = (
        "services: {app: {image: a, environment: {A: 'x${TOKEN}'}, secrets: [t]}}\nsecrets: {t: {environment: TOKEN}}\n"
    )
    project = support.load(text)
    for value in ("hush-hush", "other-value"):
        release = _render(project, {"TOKEN": value})
        stack = support.text_of(release, swarm_stack.FILE)
        assert value not in stack
        assert "x${TOKEN}" in stack
        assert _file(release, "kamal-dev.swarm/secrets/t") == File("kamal-dev.swarm/secrets/t", value.encode(), 0o600)


def test_a_changed_secret_is_another_secret_of_the_swarm_and_another_release() -> None:
    project = support.load("services: {app: {image: a, secrets: [t]}}\nsecrets: {t: {environment: TOKEN}}\n")
    first, second, again = (_render(project, {"TOKEN": value}) for value in ("one", "two", "one"))
    assert support.text_of(first, swarm_stack.FILE) != support.text_of(second, swarm_stack.FILE)
    assert first.id == again.id != second.id


def test_a_masked_release_has_no_secret() -> None:
    project = support.load("services: {app: {image: a, secrets: [t]}}\nsecrets: {t: {environment: TOKEN}}\n")
    release = _render(project, {"TOKEN": "hush-hush"}, mask=True)
    assert all(b"hush-hush" not in file.content for file in release.files)


def test_another_engine_gets_no_file_of_a_stack() -> None:
    release = support.render(support.load("services: {app: {image: a}}\n"))
    assert swarm_stack.FILE not in {file.path for file in release.files}


def _render(project: compose.ComposeProject, secrets: dict[str, str], **options: Any) -> Release:
    extra = Additions("shop", "app", secrets=tuple(secrets), engine=StackEngine(SWARM_STACK))
    values = {name: Secret(value) for name, value in secrets.items()}
    return support.render(project, extra=extra, variables=values, **options)


def _file(release: Release, path: str) -> File:
    return next(file for file in release.files if file.path == path)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\u2028\u2029\ufeff")))
def test_any_text_of_a_variable_reaches_the_container(value: str) -> None:
    text = json.dumps(
        {"services": {"app": {"image": "a", "environment": {"A": value.replace("$", "$$")}}}}, ensure_ascii=False
    )
    release = _render(support.load(text), {})
    read = YAML(typ="safe").load(support.text_of(release, swarm_stack.FILE))
    assert _literal(read["services"]["app"]["environment"]["A"]).replace("$$", "$") == value


@pytest.mark.parametrize(
    ("text", "size"), [("64m", 64 << 20), ("1.5gb", 3 << 29), ("100", 100), ("2KiB", 2048), ("", 0), ("many", 0)]
)
def test_amounts_are_read_like_those_of_docker(text: str, size: int) -> None:
    assert swarm_mounts.in_bytes(text) == size

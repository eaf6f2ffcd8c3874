"""A project whose parts do not fit is refused with line and reason, as Compose refuses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamal_dev.errors import ComposeError
from tests.compose import oracle
from tests.compose.support import load

HEAD = "services:\n  app:\n    image: x\n"
WRONG = {
    "a dependency that is not there": (
        f"{HEAD}    depends_on: [db]\n",
        ":4:18: services.app: depends on the service `db`, which does not exist",
    ),
    "a dependency that no profile starts": (
        f"{HEAD}    depends_on:\n      db: {{condition: service_started}}\n  db: {{image: y, profiles: [a]}}\n",
        ":5:11: services.app: depends on the service `db`, which does not exist or is in no active profile",
    ),
    "the network of a service that is not there": (
        f"{HEAD}    network_mode: service:db\n",
        ":3:5: services.app: depends on the service `db`",
    ),
    "a network that is not defined": (
        f"{HEAD}    networks: [front]\n",
        ":4:16: services.app: refers to the network `front`, which is not defined under `networks`",
    ),
    "a secret that is not defined": (
        f"{HEAD}    secrets: [{{source: a, target: /b}}]\n",
        ":4:15: services.app: refers to the secret `a`",
    ),
    "a config that is not defined": (f"{HEAD}    configs: [a]\n", ":4:15: services.app: refers to the config `a`"),
    "a volume that is not defined": (
        f"{HEAD}    volumes: ['data:/d']\n",
        ":4:15: services.app: refers to the volume `data`",
    ),
    "networks beside network_mode": (
        f"{HEAD}    network_mode: host\n    networks: [a]\nnetworks: {{a: {{}}}}\n",
        ":5:15: services.app: has both `networks` and `network_mode`",
    ),
    "a service that waits for itself": (
        f"{HEAD}    depends_on: [app]\n",
        ":3:5: services.app: depends on itself: `app` → `app`",
    ),
    "services that wait for each other": (
        f"{HEAD}    depends_on: [b]\n  b: {{image: y, network_mode: 'service:c'}}\n"
        "  c: {image: y, links: ['app:x']}\n",
        ":3:5: services.app: depends on itself: `app` → `b` → `c` → `app`",
    ),
    "a service that waits for a circle": (
        f"{HEAD}    depends_on: [b]\n  b: {{image: y, pid: 'service:c'}}\n  c: {{image: y, volumes_from: ['b:ro']}}\n",
        "services.b: depends on itself: `b` → `c` → `b`",
    ),
    "a link to a service that is not there": (
        f"{HEAD}    links: ['db:x']\n",
        ":3:5: services.app: depends on the service `db`",
    ),
    "volumes of a service that is not there": (
        f"{HEAD}    volumes_from: ['db:ro']\n",
        ":3:5: services.app: depends on the service `db`",
    ),
    "a network under a name that is not defined": (
        f"{HEAD}    networks: {{front: {{aliases: [a]}}}}\n",
        ":4:23: services.app: refers to the network `front`",
    ),
    "a volume in long form that is not defined": (
        f"{HEAD}    volumes: [{{type: volume, source: d, target: /d}}]\n",
        ":4:15: services.app: refers to the volume `d`",
    ),
    "a secret without content": (
        f"{HEAD}secrets: {{a: {{name: b}}}}\n",
        ":4:14: secrets.a: has no content: one of `file`, `environment` is needed",
    ),
    "a secret with two contents": (
        f"{HEAD}secrets: {{a: {{file: b, environment: C}}}}\n",
        ":4:14: secrets.a: has `file` and `environment`, which cannot be combined",
    ),
    "a config without content": (
        f"{HEAD}configs: {{a: {{}}}}\n",
        ":4:14: configs.a: has no content: one of `file`, `environment`, `content` is needed",
    ),
    "a config with two contents": (
        f"{HEAD}configs: {{a: {{file: b, content: c}}}}\n",
        ":4:14: configs.a: has `file` and `content`, which cannot be combined",
    ),
    "one name for two containers": (
        f"{HEAD}    container_name: ab\n    deploy: {{replicas: 2}}\n",
        ":4:21: services.app: has a `container_name`, which must be unique, but more than one",
    ),
    "two numbers of containers": (
        f"{HEAD}    scale: 2\n    deploy: {{replicas: 3}}\n",
        ":4:12: services.app: has `scale` 2, and `deploy.replicas` 3",
    ),
    "two limits of memory": (
        f"{HEAD}    mem_limit: 1g\n    deploy: {{resources: {{limits: {{memory: 2g}}}}}}\n",
        ":4:16: services.app: has `mem_limit` 1g, and `deploy.resources.limits.memory` 2g",
    ),
    "two limits of processors": (
        f"{HEAD}    cpus: 1.5\n    deploy: {{resources: {{limits: {{cpus: '2'}}}}}}\n",
        ":4:11: services.app: has `cpus` 1.5, and `deploy.resources.limits.cpus` 2",
    ),
    "a key without a value": (f"{HEAD}    environment:\n", ":4:5: services.app.environment: has no value"),
    "neither image nor build": ("services:\n  app:\n    init: true\n", ":3:5: services.app: has neither `image` nor"),
}
RIGHT = {
    "a dependency that may be missing": (
        f"{HEAD}    depends_on: {{db: {{condition: service_started, required: false}}}}\n"
        "  db: {image: y, profiles: [a]}\n"
    ),
    "what no active service needs": f"{HEAD}  later: {{image: y, profiles: [a], depends_on: [db]}}\n",
    "a circle that no profile starts": f"{HEAD}  b: {{image: y, profiles: [a], depends_on: [b]}}\n",
    "services that share what they need": (
        f"{HEAD}    depends_on: [b, c]\n  b: {{image: y, depends_on: [d]}}\n"
        "  c: {image: y, depends_on: [b, d]}\n  d: {image: y}\n"
    ),
    "no networks beside network_mode": f"{HEAD}    network_mode: host\n    networks: {{}}\n",
    "a container that is not of the project": f"{HEAD}    volumes_from: ['container:db']\n    external_links: [db]\n",
    "a volume without a name": f"{HEAD}    volumes: [/d, {{type: volume, target: /e}}]\n",
    "a secret that is outside": f"{HEAD}    secrets: [a]\nsecrets: {{a: {{external: true}}}}\n",
    "one limit in two spellings": (
        f"{HEAD}    mem_limit: 1g\n    cpus: 2\n    scale: 1\n    container_name: a\n"
        "    deploy: {replicas: 1, resources: {limits: {memory: 1024m, cpus: '2.0'}}}\n"
    ),
    "the default network": f"{HEAD}    networks: [default]\n",
    "a command of nothing": f"{HEAD}    command:\n    entrypoint:\n",
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_project_that_does_not_fit_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ComposeError) as caught:
        load(text)
    assert message in str(caught.value)
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(oracle.Refused):
        oracle.configured(tmp_path)


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_a_project_that_fits_is_read(text: str, tmp_path: Path) -> None:
    assert load(text).services
    (tmp_path / "compose.yaml").write_text(text)
    assert oracle.configured(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["debian", "a/b/c:1.0", "localhost:5000/x", "Registry.Example/x@sha256:" + "0" * 64, "[::1]:5000/x", "a__b-c.d"],
)
def test_the_name_of_an_image_is_taken(name: str) -> None:
    assert load(f"services: {{app: {{image: '{name}'}}}}\n").problems == ()


@pytest.mark.parametrize("name", ["x; y", "-x", "Debian", "a//b", "a:", "postgres:", "a" * 600, "http://a/b", "a@b"])
def test_what_is_no_name_of_an_image_stops_a_deployment(name: str) -> None:
    (problem,) = load(f"services: {{app: {{image: '{name}'}}}}\n").problems
    assert str(problem).startswith(".devcontainer/compose.yaml:1:25: services.app.image: ")
    assert problem.message.endswith("is not an image")


def test_a_service_that_is_not_started_may_name_no_image() -> None:
    assert load("services: {app: {image: x}, later: {image: 'y:', profiles: [a]}}\n").problems == ()

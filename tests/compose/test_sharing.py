"""What stacks on one host would share by accident: names and ports. Compose itself says what it makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamal_dev import compose
from kamal_dev.compose import Additions
from kamal_dev.compose.explanations import explain
from kamal_dev.project.tree import WorkingTree
from tests.compose import oracle
from tests.compose.support import load, overlay_of, render

TEXT = """\
services:
  app:
    image: x
    container_name: shop
    networks: [front, default]
    volumes: [data:/data, cache:/cache, theirs:/theirs]
    ports:
      - "8080:80"
      - "0.0.0.0:9000-9001:9000-9001/udp"
      - "${PORT:-7000}:7000"
      - {target: 22, published: "2222"}
      - "8000-8010:90"
      - 3000
      - "${NODE_INDEX}080:5000"
  db:
    image: y
    container_name: ${DEV_STACK}-db
    ports: ["127.0.0.1:5432:5432"]
networks:
  front: {name: shop-front}
  back: {}
volumes:
  data: {name: shop-data, labels: {kept: "yes"}}
  cache: {name: "${COMPOSE_PROJECT_NAME}-cache"}
  theirs: {external: true}
"""
SHARED = Additions("shop", "app", is_shared=True)
PUBLISHED = (
    "app:8080:80/tcp",
    "app:9000:9000/udp",
    "app:9001:9001/udp",
    "app:7000:7000/tcp",
    "app:2222:22/tcp",
    "app:1080:5000/tcp",
    "db:5432:5432/tcp",
)
ALLOTTED = {key: 20000 + number for number, key in enumerate(PUBLISHED)}


def test_names_and_ports_are_the_stacks_own(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(TEXT)
    project = compose.load((folder / "compose.yaml",), tree=WorkingTree(), repository=folder, environment={})
    release = render(project, extra=SHARED, allotted=ALLOTTED)
    assert release.published == PUBLISHED
    _, after = oracle.compare(project, release, tmp_path / "there", {})
    app, db = after["services"]["app"], after["services"]["db"]
    assert "container_name" not in app
    assert db["container_name"] == "shop-1-db"
    assert {name: item["name"] for name, item in after["networks"].items() if name == "front"} == {
        "front": "shop-1_front"
    }
    volumes = after["volumes"]
    assert volumes["data"] == {"name": "shop-1_data", "labels": {"kept": "yes"}}
    assert (volumes["cache"]["name"], volumes["theirs"]["external"]) == ("shop-1-cache", True)
    ports = [(port["host_ip"], port.get("published"), port["target"]) for port in (*app["ports"], *db["ports"])]
    assert ports == [
        ("127.0.0.1", "20000", 80),
        ("0.0.0.0", "20001", 9000),
        ("0.0.0.0", "20002", 9001),
        ("127.0.0.1", "20003", 7000),
        ("127.0.0.1", "20004", 22),
        ("127.0.0.1", "8000-8010", 90),
        ("127.0.0.1", None, 3000),
        ("127.0.0.1", "20005", 5000),
        ("127.0.0.1", "20006", 5432),
    ]
    assert release.ports == (
        "127.0.0.1:20000/tcp", "0.0.0.0:20001/udp", "0.0.0.0:20002/udp", "127.0.0.1:20003/tcp", "127.0.0.1:20004/tcp",
        "127.0.0.1:20005/tcp", "127.0.0.1:20006/tcp",
    )  # fmt: skip


def test_before_a_host_has_allotted_ports_the_engine_chooses_them() -> None:
    release = render(load(TEXT), extra=SHARED)
    assert "127.0.0.1::80/tcp" in overlay_of(release)
    assert release.ports == ()


def test_a_host_with_one_stack_has_everything_as_written() -> None:
    overlay = overlay_of(render(load(TEXT), allotted=ALLOTTED))
    assert "127.0.0.1:8080:80" in overlay
    assert not {"container_name", "shop-1_front", "shop-1_data", "20000"} & {*overlay.replace(":", " ").split()}


def test_exposed_ports_are_allotted_too() -> None:
    text = "services: {app: {image: x, ports: ['8080:80', '3000']}}\n"
    release = render(load(text), extra=Additions("shop", "app", is_shared=True, expose=True), allotted=ALLOTTED)
    assert release.ports == ("0.0.0.0:20000/tcp",)
    assert "0.0.0.0:20000:80/tcp" in overlay_of(release)


def test_each_change_is_explained() -> None:
    project = load(TEXT)
    rows = {
        item.key: item.text
        for item in explain(project, render(project, extra=SHARED))
        if ".overlay." not in str(item.where)
    }
    assert rows["services.app.container_name"] == "removed by the overlay: a name can be used once on a host"
    assert rows["services.db.container_name"] == "as written"
    assert rows["services.app.ports"] == "free ports of the host, allotted once for each stack, because stacks share it"
    assert rows["networks.front"] == rows["volumes.data"] == "the name of the stack's own, because stacks share a host"
    assert rows["volumes.cache"] == "as written"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "services: {app: {image: x}}\nnetworks:\n  net: {external: true}\n",
            "3:8: is external, and would connect all stacks on a host; remove it, or set `placement.per_host` to 1",
        ),
        (
            "services:\n  app:\n    image: x\n    network_mode: host\n    expose: [80]\n",
            "4:19: its ports are those of the host, where only one stack can have them; "
            "remove it, or set `placement.per_host` to 1",
        ),
    ],
)
def test_what_cannot_be_shared_is_a_problem_with_its_place(text: str, problem: str) -> None:
    project = load(text)
    (only,) = compose.problems(project, SHARED)
    assert f"{only.line}:{only.column}: {only.message}" == problem
    assert compose.problems(project, Additions("shop", "app")) == ()


def test_an_external_volume_is_a_warning() -> None:
    notices = [str(notice) for notice in compose.notices(load(TEXT), SHARED)]
    assert any("volumes.theirs: is external, and all stacks on a host share it" in notice for notice in notices)


NETWORKS = """\
services:
  app: {image: x, networks: {front: {aliases: [www]}, theirs: , fixed: , wide: }}
  db: {image: x}
  alone: {image: x, network_mode: none}
  other: {image: x, networks: [unused], profiles: [later]}
networks:
  front: {driver: bridge}
  theirs: {external: true}
  fixed: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
  wide: {driver: macvlan}
  unused: {}
"""


def test_a_release_names_the_networks_that_need_addresses_of_the_host() -> None:
    assert render(load(NETWORKS)).networks == ("default", "front")
    assert render(load("services: {app: {image: x}}")).networks == ("default",)

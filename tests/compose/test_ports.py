"""Published ports are the host's own unless `expose` opens them; Compose itself says what it makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamal_dev import compose
from kamal_dev.compose import Additions
from kamal_dev.model import StartedService
from kamal_dev.project.tree import WorkingTree
from tests.compose import oracle
from tests.compose.support import load, overlay_of, render, text_of

PORTS = """\
services:
  app:
    image: x
    ports:
      - 3000
      - "8080:80"
      - 8081:81/udp
      - "9000-9001:9000-9001"
      - "${PORT:-7000}:7000"
      - "${WHOLE}"
      - "${EMPTY}:7100:7100"
      - "127.0.0.1:5432:5432"
      - "10.0.0.5:5433:5432"
      - "0.0.0.0:5434:5432"
      - "[::1]:5435:5432"
      - "${ADDRESS}:5436:5432"
      - {target: 22, published: "2222", protocol: tcp}
      - {target: 23, published: "${PORT:-7001}", host_ip: 10.0.0.5}
      - {target: 24}
"""
ENVIRONMENT = {"WHOLE": "6000:6000", "EMPTY": "", "ADDRESS": "10.0.0.6"}


def test_compose_publishes_on_the_loopback_what_names_no_address(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(PORTS)
    project = compose.load((folder / "compose.yaml",), tree=WorkingTree(), repository=folder, environment=ENVIRONMENT)
    before, after = oracle.compare(project, render(project), tmp_path / "there", ENVIRONMENT)
    assert after["services"]["app"]["ports"] == before["services"]["app"]["ports"]
    addresses = {port["target"]: port["host_ip"] for port in after["services"]["app"]["ports"]}
    kept = {5432, 23}
    assert {address for target, address in addresses.items() if target not in kept} == {"127.0.0.1"}
    assert len(addresses) == 12
    own = {port["host_ip"] for port in after["services"]["app"]["ports"] if port["target"] in kept}
    assert own == {"127.0.0.1", "10.0.0.5", "0.0.0.0", "::1", "10.0.0.6"}
    opened = render(project, extra=Additions("shop", "app", expose=True))
    assert "ports" not in overlay_of(opened)
    assert text_of(opened, "compose.yaml") == text_of(render(project), "compose.yaml") == PORTS


def test_ports_of_several_files_and_of_what_they_include_are_bound_once(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "one.yaml").write_text("include: [web.yaml]\nservices: {app: {image: x, ports: ['80:80', '81:81']}}\n")
    (folder / "two.yaml").write_text("services: {app: {ports: ['80:80', '82:82']}}\n")
    (folder / "web.yaml").write_text("services: {web: {image: x, extends: {file: b.yaml, service: b}}}\n")
    (folder / "b.yaml").write_text("services: {b: {image: x, ports: ['90:90']}}\n")
    paths = (folder / "one.yaml", folder / "two.yaml")
    project = compose.load(paths, tree=WorkingTree(), repository=folder, environment={})
    before, after = oracle.compare(project, render(project), tmp_path / "there", {})
    for name in ("app", "web"):
        assert after["services"][name]["ports"] == before["services"][name]["ports"]


def test_a_port_that_stays_open_is_warned_of_with_its_place() -> None:
    project = load("services:\n  app:\n    image: x\n    ports:\n      - 0.0.0.0:80:80\n      - 10.0.0.1:81:81\n")
    assert [str(notice) for notice in compose.notices(project, Additions("shop", "app"))] == [
        ".devcontainer/compose.yaml:5: services.app.ports: is open to every network of the host,"
        " because it names an address"
    ]
    assert compose.notices(project, Additions("shop", "app", expose=True)) == ()
    project = load("services:\n  app:\n    image: x\n    network_mode: host\n")
    assert [notice.where.line for notice in compose.notices(project, Additions("shop", "app"))] == [4]


@pytest.mark.parametrize(
    ("volume", "word"),
    [
        ("/var/run/docker.sock:/var/run/docker.sock", "root"),
        ("/run/user/1000/podman/podman.sock:/s:ro", "root"),
        ("/:/host", "of the host"),
        ("~:/home", "of the host"),
        ("/home/ann:/a", "of the host"),
        ("/etc:/e:ro", "of the host"),
        ("~/.ssh:/root/.ssh:ro", "keys"),
        ("${HOME}/.aws/credentials:/c", "keys"),
    ],
)
def test_a_dangerous_mount_is_warned_of_with_its_place(volume: str, word: str) -> None:
    text = f"services:\n  app:\n    image: x\n    volumes: ['{volume}']\n"
    project = load(text, environment={"HOME": "/home/ann"}, home_mounts=True)
    warnings = [notice for notice in compose.notices(project, Additions("shop", "app")) if notice.is_warning]
    assert [notice.where.line for notice in warnings] == [4]
    assert word in warnings[0].message


def test_a_mount_of_the_repository_or_of_a_clock_is_not_dangerous() -> None:
    project = load(
        "services: {app: {image: x, volumes: ['..:/w', '../.ssh:/s', '/etc/localtime:/t:ro', 'data:/d']}}\n"
        "volumes: {data: {}}\n",
        files={".ssh/config": ""},
    )
    assert not [notice for notice in compose.notices(project, Additions("shop", "app")) if notice.is_warning]


def test_a_privileged_service_is_warned_of() -> None:
    project = load("services:\n  app: {image: x, privileged: false}\n  runner:\n    image: y\n    privileged: true\n")
    assert [str(notice) for notice in compose.notices(project, Additions("shop", "app"))] == [
        ".devcontainer/compose.yaml:5: services.runner.privileged: anyone in the container has root access to the host"
    ]


def test_a_release_says_what_it_starts_what_that_needs_and_where_it_listens() -> None:
    text = """\
services:
  app:
    image: x
    depends_on: [db]
    ports: [3000, "127.0.0.1:${PORT:-80}:8000", "53:53/udp", "9000-9009:9000-9009", {target: 443, published: 8443}]
    expose: ["7000", "3000/tcp"]
  db: {image: y, links: [cache]}
  cache: {image: z}
  tool: {image: z, profiles: [tools]}
"""
    extra = Additions("shop", "app", forwarded=("3000", "5000", "db:5432", "localhost:6000", "elsewhere:1"))
    assert render(load(text), extra=extra).started == (
        StartedService(
            "app", ("db",), ("3000/tcp", "8000/tcp", "53/udp", "443/tcp", "7000/tcp", "5000/tcp", "6000/tcp")
        ),
        StartedService("db", ("cache",), ("5432/tcp",)),
        StartedService("cache"),
    )

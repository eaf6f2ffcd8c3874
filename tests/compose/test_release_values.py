from __future__ import annotations

from pathlib import Path

from kamal_dev import compose, config, devcontainer
from kamal_dev.model import Image, Version
from kamal_dev.project.tree import WorkingTree

COMPOSE = """\
services:
  app:
    build: .
    volumes: ["..:/workspaces/blog"]
  db: {image: "postgres:15"}
  mail: {image: "mailpit:1"}
"""


def test_a_release_carries_what_the_host_is_told_to_start_and_to_make(tmp_path: Path) -> None:
    folder = tmp_path / "blog" / ".devcontainer"
    folder.mkdir(parents=True)
    (folder / "compose.yaml").write_text(COMPOSE)
    text = '{"dockerComposeFile": "compose.yaml", "service": "app", "runServices": ["db"]}'
    root = tmp_path / "blog"
    found = devcontainer.load(
        text, folder / "devcontainer.json", root=root, environment={}, display="devcontainer.json"
    )
    tree = WorkingTree()
    project = compose.load(
        (folder / "compose.yaml",), tree=tree, repository=root, environment={}, main="app", run_services=("db",)
    )
    release = compose.render(
        project,
        stack="blog-1",
        version=Version("abc"),
        images={"app": Image("localhost:5555", "blog-dev", "abc")},
        additions=compose.additions(found, config.default("blog"), "app", project.run_services),
    )
    assert sorted(release.services) == ["app", "db"]
    assert release.workspace == ("blog",)
    assert release.third_party == ("postgres:15",)

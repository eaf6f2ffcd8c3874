from pathlib import Path

import pytest

from kamal_dev import devcontainer

from .conftest import ROOT


class FakeTree:
    """Hold files in memory, by their path under ROOT."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = {ROOT / name: text for name, text in files.items()}

    def read(self, path: Path) -> bytes:
        return self.files[path].encode()

    def kind(self, path: Path) -> str:
        if path in self.files:
            return "file"
        return "directory" if any(path in file.parents for file in self.files) else ""

    def real(self, path: Path) -> Path:
        return path

    def list(self, path: Path) -> tuple[str, ...]:
        inside = [file.relative_to(path).parts[0] for file in self.files if path in file.parents]
        return tuple(sorted(set(inside)))


def test_devcontainers_are_found_where_the_specification_says():
    tree = FakeTree(
        dict.fromkeys(
            [
                ".devcontainer/web/devcontainer.json",
                ".devcontainer/api/devcontainer.json",
                ".devcontainer/api/deeper/devcontainer.json",
                ".devcontainer/empty/other.json",
                ".devcontainer.json",
                ".devcontainer/devcontainer.json",
                "devcontainer.json",
                "app/.devcontainer/devcontainer.json",
            ],
            "{}",
        )
    )
    assert [str(path.relative_to(ROOT)) for path in devcontainer.find(tree, ROOT)] == [
        ".devcontainer/devcontainer.json",
        ".devcontainer.json",
        ".devcontainer/api/devcontainer.json",
        ".devcontainer/web/devcontainer.json",
    ]


def test_nothing_is_found_in_an_empty_repository():
    assert devcontainer.find(FakeTree({}), ROOT) == ()


def test_a_folder_of_that_name_is_not_a_file():
    assert devcontainer.find(FakeTree({".devcontainer.json/x": ""}), ROOT) == ()


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        ({}, {}, ["docker-compose.yml"]),
        ({"docker-compose.override.yml": ""}, {}, ["docker-compose.yml", "docker-compose.override.yml"]),
        ({".env": "A=b\nCOMPOSE_FILE=a.yaml:sub/b.yaml \n"}, {}, ["a.yaml", "sub/b.yaml"]),
        ({".env": "A=b\n"}, {}, ["docker-compose.yml"]),
        ({".env": "COMPOSE_FILE=a.yaml"}, {"COMPOSE_FILE": "c.yaml"}, ["c.yaml"]),
    ],
)
def test_an_empty_list_of_compose_files_stands_for_composes_own_choice(files, environment, expected, load):
    found = load({"dockerComposeFile": [], "service": "app"})
    paths = devcontainer.compose_files(found, tree=FakeTree(files), environment=environment)
    assert [str(path.relative_to(ROOT)) for path in paths] == expected


def test_named_compose_files_are_taken_as_they_are(load):
    tree = FakeTree({})
    named = load({"dockerComposeFile": "c.yaml", "service": "app"})
    assert devcontainer.compose_files(named, tree=tree, environment={}) == named.docker_compose_files
    assert devcontainer.compose_files(load({"image": "i"}), tree=tree, environment={}) == ()

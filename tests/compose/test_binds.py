from pathlib import Path

import pytest

from kamal_dev.compose import binds, volume
from kamal_dev.compose.volume import Parts
from kamal_dev.errors import ComposeError
from kamal_dev.model import Location
from tests.compose.support import MemoryTree, load, overlay_of, render, text_of

NOWHERE = Location("compose.yaml", 1)


def _binds(text: str, **options):
    return load(f"services:\n  app:\n    image: x\n    volumes:\n{text}", **options)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("/a", Parts("", "/a")),
        ("ab:/b", Parts("ab", "/b")),
        (".:/b:ro,z", Parts(".", "/b", "ro,z")),
        ("${A:-.}:/b", Parts("${A:-.}", "/b")),
        ("${A:-${B:-.}}:/${C:-x}:ro", Parts("${A:-${B:-.}}", "/${C:-x}", "ro")),
        (r"C:\a:/b", Parts(r"C:\a", "/b")),
    ],
)
def test_a_short_volume_is_split_at_its_colons(text: str, parts: Parts) -> None:
    assert volume.split(text) == parts


def test_a_folder_above_the_parent_holds_the_repository_alone() -> None:
    project = _binds("      - ../../..:/everything\n")
    (bind,) = project.binds
    assert (bind.kind, bind.folder, bind.moves) == ("workspace", "", True)
    assert "`/` on a host is a folder that contains only `shop` alone" in str(project.notices[0])


@pytest.mark.parametrize(("path", "notices"), [("/", 1), ("/tmp", 0), ("/run", 0)])
def test_a_folder_of_the_system_is_the_hosts_own_though_the_repository_is_in_it(path: str, notices: int) -> None:
    repository = Path(path, "src/shop")
    bind, notice = binds.locate("app", path, repository, NOWHERE, MemoryTree({}), repository)
    assert bind.kind == "host"
    assert "the container gets the host's own path" in str(notice) if notices else notice is None


def test_a_relative_path_never_is_a_folder_of_the_system() -> None:
    repository = Path("/tmp/shop")
    for written in ("..", "/tmp/shop/.."):
        bind, notice = binds.locate("app", written, repository, NOWHERE, MemoryTree({}), repository)
        assert (bind.kind, bind.folder, notice) == ("workspace", "", None)


def test_a_drive_of_windows_is_a_path_and_not_a_volume() -> None:
    project = _binds("      - C:/x:/y:ro\n")
    (bind,) = project.binds
    assert (bind.kind, bind.source.as_posix(), bind.target, bind.moves) == ("host", "C:/x", "/y", False)
    assert "`C:/x` is not in the repository: the container gets the host's own path" in str(project.notices[0])


def test_a_relative_path_to_another_place_becomes_absolute() -> None:
    project = _binds("      - ../../../opt/x:/x:ro\n")
    assert "- /opt/x:/x:ro" in overlay_of(render(project))
    assert "the container gets the host's own path" in str(project.notices[0])


@pytest.mark.parametrize("path", ["/var/run/docker.sock", "/dev/kvm", "/etc/localtime", "/tmp/x", "/sys/fs/cgroup"])
def test_what_every_host_has_needs_no_word(path: str) -> None:
    project = _binds(f"      - {path}:{path}\n")
    assert project.notices == ()
    assert "volumes" not in overlay_of(render(project))


def test_an_absolute_path_into_the_repository_is_the_workspace() -> None:
    project = _binds("      - ${PWD}/src:/src\n", environment={"PWD": "/src/shop"}, files={"src/a": ""})
    assert '"~/.kamal-dev/shop-1/workspace/shop/src:/src"' in overlay_of(render(project))


def test_a_link_into_the_repository_is_the_workspace() -> None:
    tree = {"src/a": ""}
    project = _binds("      - /elsewhere/link:/src\n", files=tree, links={"/elsewhere/link": "/src/shop/src"})
    assert project.binds[0].folder == "shop/src"


def test_a_linked_folder_that_leaves_the_repository_is_noticed() -> None:
    project = _binds("      - ../data:/data\n", files={"/big/data/a": ""}, links={"data": "/big/data"})
    assert project.binds[0].folder == "shop/data"
    assert "`data` is a link out of the repository" in str(project.notices[0])


def test_a_variable_that_is_the_whole_volume_is_written_out() -> None:
    project = _binds("      - ${BIND}\n", environment={"BIND": "..:/a$b:ro"})
    assert '"~/.kamal-dev/shop-1/workspace/shop:/a$$b:ro"' in overlay_of(render(project))


def test_a_volume_keeps_its_form_and_fields() -> None:
    project = _binds(
        "      - {type: bind, source: .., target: '/w/$$x', read_only: '${RO:-true}', bind: {propagation: shared}}\n"
    )
    overlay = overlay_of(render(project)).splitlines()
    assert overlay[(start := overlay.index("    volumes:")) : start + 7] == [
        "    volumes:",
        "      - type: bind",
        '        source: "~/.kamal-dev/shop-1/workspace/shop"',
        '        target: "/w/$$x"',
        '        read_only: "${RO:-true}"',
        "        bind:",
        "          propagation: shared",
    ]
    assert project.binds[0].read_only


def test_only_the_last_volume_of_a_target_counts() -> None:
    project = load(
        "services: {app: {image: x, volumes: ['.:/w', 'data:/d']}}\nvolumes: {data: {}}\n",
        names=("one.yaml", "two.yaml"),
        files={"two.yaml": "services: {app: {volumes: ['data:/w/', './src:/d']}}\n", "src/a": ""},
    )
    assert [(bind.folder, bind.target) for bind in project.binds] == [("shop/src", "/d")]


def test_a_named_volume_that_is_a_folder_moves_too() -> None:
    options = "driver: local, driver_opts: {type: none, o: bind, device: './src'}"
    project = load(
        f"services: {{app: {{image: x}}}}\nvolumes: {{code: {{{options}}}, other: {{driver: local}}}}\n",
        names=("compose.yaml",),
        files={"src/a": ""},
    )
    assert 'device: "~/.kamal-dev/shop-1/workspace/shop/src"' in overlay_of(render(project))


def test_a_mounted_link_that_leaves_the_repository_stops_a_deployment() -> None:
    project = _binds(
        "      - ./key:/key\n",
        files={"/home/me/key": "private"},
        links={".devcontainer/key": "/home/me/key"},
    )
    assert [str(problem) for problem in project.problems] == [
        ".devcontainer/compose.yaml:5:9: volumes: `.devcontainer/key` is a link out of the repository:"
        " only files in the repository are sent to hosts, unless `--allow-outside` is set"
    ]
    assert project.travels == ()


def test_a_mounted_program_can_be_run() -> None:
    project = _binds(
        "      - ./run:/run.sh\n      - ./data:/data\n",
        files={".devcontainer/run": "#!/bin/sh\n", ".devcontainer/data": "x"},
    )
    assert {
        file.path: file.mode for file in render(project).files if "/" in file.path and "compose" not in file.path
    } == {
        ".devcontainer/run": 0o755,
        ".devcontainer/data": 0o644,
    }
    assert text_of(render(project), ".devcontainer/data") == "x"


def test_a_repository_with_a_colon_in_its_name_is_refused() -> None:
    from kamal_dev import compose

    repository = Path("/src/a:b")
    tree = MemoryTree({repository / "compose.yaml": b"services: {app: {image: x}}\n"})
    project = compose.load((repository / "compose.yaml",), tree=tree, repository=repository, environment={})
    with pytest.raises(ComposeError, match="a colon divides source and target"):
        render(project)

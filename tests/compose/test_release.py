import json
from pathlib import Path

import pytest

from kamal_dev import compose, config, devcontainer
from kamal_dev.compose import Additions
from kamal_dev.compose.explanations import explain
from kamal_dev.errors import ComposeError, NothingBuilt
from kamal_dev.model import Image, Location, Version
from tests.compose import oracle
from tests.compose.support import DEFAULT, REPOSITORY, images, load, overlay_of, render, text_of, tree

TEXT = """
services:
  app: {build: ., depends_on: {migrate: {condition: service_completed_successfully}}, volumes: ['../src:/src', '..:/w']}
  migrate: {image: shop/tool, links: ['db:database']}
  db: {image: 'postgres:16', network_mode: 'service:net'}
  net: {image: pause, volumes_from: ['holder:ro', 'container:x']}
  holder: {image: busybox}
  extra: {image: extra, profiles: [never]}
"""


def _manifest(release) -> dict:
    return json.loads(text_of(release, "manifest.json"))


def test_a_compose_file_above_a_release_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {wrong: {image: x}}\n")
    oracle.write(render(load("services: {app: {image: x}}\n")), tmp_path / "releases" / "one")
    assert "app" in oracle.configured(tmp_path / "releases" / "one")["services"]


@pytest.mark.parametrize("name", ["compose.yaml", "docker-compose.yml"])
def test_a_file_of_the_users_is_as_good_against_that(name: str) -> None:
    release = render(load("services: {app: {image: x}}\n", names=(name,)))
    assert [file.path for file in release.files if "compose" in file.path] == [name]


def test_the_same_input_makes_the_same_release() -> None:
    one, two = render(load(TEXT)), render(load(TEXT))
    assert one == two
    assert one.id == f"v1-{one.digest[:8]}"
    assert _manifest(one)["digest"] == one.digest
    assert [file.path for file in one.files] == sorted(file.path for file in one.files)


@pytest.mark.parametrize(
    "changed",
    [
        {"stack": "shop-2"},
        {"images": {"app": Image("registry.example", "acme/app", "v1", "sha256:1")}},
        {"variables": {"ZONE": "us"}},
        {"extra": Additions("shop", "app", init=True)},
    ],
)
def test_every_change_makes_another_release(changed: dict) -> None:
    text = TEXT.replace("image: pause", "image: 'pause:$ZONE'")
    assert render(load(text), **changed).digest != render(load(text)).digest


def test_the_name_of_a_version_changes_the_id_and_nothing_that_runs() -> None:
    one, two = (
        render(load(TEXT), version=Version(name, name), images={"app": Image("r.example", "app", name, "sha256:1")})
        for name in ("v1", "v2")
    )
    assert one.digest == two.digest
    assert (one.id, two.id) == (f"v1-{one.digest[:8]}", f"v2-{one.digest[:8]}")
    assert [file for file in one.files if file not in two.files] == [
        file for file in one.files if file.path == "manifest.json"
    ]


def test_a_manifest_says_what_a_release_is() -> None:
    assert {key: value for key, value in _manifest(render(load(TEXT))).items() if key != "digest"} == {
        "stack": "shop-1",
        "service": "shop",
        "version": "v1",
        "commit": "abc",
        "project": "shop-1",
        "main": "app",
        "files": [DEFAULT, "kamal-dev.overlay.yaml"],
        "images": {"app": "registry.example/acme/app:v1"},
        "third_party": ["busybox", "pause", "postgres:16", "shop/tool"],
        "services": [],
        "one_shots": ["migrate"],
        "workspace": {"repository": "shop", "folders": ["shop", "shop/src"]},
    }


def test_only_what_is_asked_for_is_pulled() -> None:
    text = "services: {app: {image: a, links: [db]}, db: {image: b}, idle: {image: c}}\n"
    release = render(load(text), extra=Additions("shop", "app", run_services=("app",)))
    assert release.third_party == ("a", "b")
    assert _manifest(release)["services"] == ["app"]


def test_an_image_with_a_digest_is_written_with_it() -> None:
    image = Image("localhost:5000", "shop", "v1", "sha256:abc")
    release = render(load("services: {app: {build: .}}\n"), images={"app": image})
    assert text_of(release, DEFAULT) == "services: {app: {image: localhost:5000/shop@sha256:abc}}\n"


def test_a_build_without_an_image_is_named() -> None:
    with pytest.raises(NothingBuilt, match="no image for the service `app`"):
        render(load(TEXT), images={})


@pytest.mark.parametrize("extra", [Additions("shop", "web"), Additions("shop", "app", run_services=("web",))])
def test_a_service_that_does_not_exist_is_refused_with_those_that_do(extra: Additions) -> None:
    with pytest.raises(ComposeError) as caught:
        render(load(TEXT), extra=extra)
    assert str(caught.value) == f"{DEFAULT}: has no service `web`"
    assert "`app`, `migrate`, `db`" in caught.value.hint


def test_files_that_cannot_be_spliced_safely_stay_as_they_are() -> None:
    same = "services: {app: {build: .}}\n"
    text = f"include: [other.yaml]\n{same}"
    release = render(load(text, files={".devcontainer/other.yaml": same}))
    assert text_of(release, DEFAULT) == text
    assert "    build: !reset null\n    image: registry.example/acme/app:v1\n" in overlay_of(release)


def test_a_service_that_takes_away_what_it_extends_runs_the_image() -> None:
    text = "services:\n  app: {build: ., image: a}\n  b: {extends: app, build: !reset null}\n"
    release = render(load(text))
    assert "b: {extends: app, build: !reset null}" in text_of(release, DEFAULT)
    assert dict(release.images)["b"] == dict(release.images)["app"]


def test_an_image_that_is_inherited_from_a_rewritten_service_is_put_back() -> None:
    text = "services:\n  app: {build: ., image: a}\n  b: {image: other, command: x}\n  c: {extends: b}\n"
    more = "services:\n  b: {build: ., image: made}\n"
    release = render(load(text, names=(DEFAULT, "two.yaml"), files={"two.yaml": more}))
    assert "  c:\n    image: other\n" in overlay_of(release)


def test_additions_come_from_both_files() -> None:
    text = """{"dockerComposeFile": "compose.yaml", "service": "app", "runServices": ["db", "app"],
      "containerEnv": {"A": "1"}, "containerUser": "dev", "init": true, "capAdd": ["X"], "securityOpt": ["y"],
      "overrideCommand": true, "mounts": ["source=cache,target=/cache,type=volume"]}"""
    path = REPOSITORY / ".devcontainer/devcontainer.json"
    read = devcontainer.load(text, path, root=REPOSITORY, environment={}, display="devcontainer.json")
    settings = config.load(
        "service: shop\nsecrets: [TOKEN]\ndefaults: {cpus: 2, memory: 4g, memory_swap: 6g}\n"
        "registry: {server: localhost:5000}\n",
        "config/dev.yml",
        environment={},
    )
    extra = compose.additions(read, settings, "app", ("db", "app"))
    assert extra == Additions(
        service="shop",
        main="app",
        environment=(("A", "1"),),
        secrets=("TOKEN",),
        mounts=read.mounts,
        user="dev",
        init=True,
        cap_add=("X",),
        security_opt=("y",),
        keeps_running=True,
        cpus="2",
        memory="4g",
        memory_swap="6g",
        restart="unless-stopped",
        run_services=("db", "app"),
    )


POLICIES = """services:
  app: {image: a, depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: a}
  db: {image: b}
  queue: {image: b, restart: "no"}
  cache: {image: b, deploy: {restart_policy: {condition: on-failure}}}
"""


@pytest.mark.parametrize("wanted", ["unless-stopped", "no"])
def test_services_without_a_restart_policy_get_one_unless_others_wait_for_their_end(wanted: str) -> None:
    release = render(load(POLICIES), extra=Additions("shop", "app", restart=wanted))
    assert {item.name: item.restart for item in release.started} == {
        "app": wanted,
        "migrate": "",
        "db": wanted,
        "queue": "",
        "cache": "",
    }
    written = wanted != "no"
    assert overlay_of(release).count("x-restart: unless-stopped") == (2 if written else 0)
    told = [row.key for row in explain(load(POLICIES), release) if "`restart`" in row.text]
    assert told == (["services.app.x-restart", "services.db.x-restart"] if written else [])


def test_a_devcontainer_without_compose_takes_the_same_road() -> None:
    path = REPOSITORY / ".devcontainer/devcontainer.json"
    text = '{"build": {"dockerfile": "Dockerfile"}, "containerEnv": {"A": "$1"}}'
    read = devcontainer.load(text, path, root=REPOSITORY, environment={}, display="devcontainer.json")
    project = compose.load_text(
        devcontainer.as_compose(read),
        path=path.parent / "kamal-dev.compose.yaml",
        tree=tree({".devcontainer/Dockerfile": "FROM scratch\n"}),
        repository=REPOSITORY,
        environment={},
    )
    extra = compose.additions(read, config.default("shop"), devcontainer.SERVICE)
    release = render(project, extra=extra)
    assert project.builds[0].context == "/src/shop/.devcontainer"
    assert "image: registry.example/acme/devcontainer:v1" in text_of(release, ".devcontainer/kamal-dev.compose.yaml")
    assert '      A: "$$1"' in overlay_of(release)
    assert 'source: "~/.kamal-dev/shop-1/workspace/shop"' in overlay_of(release)


def test_compose_takes_every_addition(tmp_path: Path) -> None:
    mounts = ("type=bind,source=/src/shop/src,target=/code,readonly", "type=volume,source=cache,target=/cache")
    extra = Additions(
        "shop",
        "app",
        environment=(("A", 'a $x "b"\nc\\'), ("B", "")),
        secrets=("TOKEN",),
        mounts=tuple(devcontainer.mount_options.parse(text, Location("d.json"))[0] for text in mounts),
        user="dev:1000",
        init=True,
        privileged=True,
        cap_add=("A", "B"),
        security_opt=("seccomp=unconfined",),
        keeps_running=True,
        cpus="1.5",
        memory="512m",
        memory_swap="1g",
    )
    text = "services: {app: {build: ., environment: [A=old, C=3], cap_add: [A], command: serve, pids_limit: 5}}\n"
    release = render(load(text, files={"src/a": ""}), extra=extra, variables={"TOKEN": "t"})
    oracle.write(release, tmp_path)
    app = oracle.configured(tmp_path)["services"]["app"]
    assert app["environment"] == {"A": 'a $$x "b"\nc\\', "B": "", "C": "3", "TOKEN": "t"}
    assert (app["user"], app["init"], app["privileged"]) == ("dev:1000", True, True)
    assert (app["cap_add"], app["security_opt"]) == (["A", "B"], ["seccomp=unconfined"])
    assert (app["cpus"], app["mem_limit"], app["memswap_limit"]) == (1.5, str(512 << 20), str(1 << 30))
    assert (app["entrypoint"][:2], app["command"]) == (["/bin/sh", "-c"], [])
    # Newer versions of Compose add an empty `volume`.
    assert [{key: item for key, item in volume.items() if item} for volume in app["volumes"]] == [
        {
            "type": "bind",
            "source": "/home/tester/.kamal-dev/shop-1/workspace/shop/src",
            "target": "/code",
            "read_only": True,
            "bind": {"create_host_path": True},
        },
        {"type": "volume", "source": "cache", "target": "/cache"},
    ]
    assert app["labels"] == {"kamal-dev.main": "true"}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("cpus: 4", {"cpus": 4, "mem_limit": str(1 << 30)}),
        ("mem_limit: 2g", {"cpus": 2, "mem_limit": str(2 << 30)}),
        (
            "cpus: 4, mem_limit: 2g, memswap_limit: 3g",
            {"cpus": 4, "mem_limit": str(2 << 30), "memswap_limit": str(3 << 30)},
        ),
        ("deploy: {resources: {limits: {cpus: '4'}}}", {"limits": {"cpus": 4, "memory": str(1 << 30)}}),
        ("deploy: {resources: {limits: {pids: 9}}}", {"limits": {"cpus": 2, "memory": str(1 << 30), "pids": 9}}),
        ("deploy: {replicas: 1}", {"cpus": 2, "mem_limit": str(1 << 30)}),
    ],
)
def test_limits_take_the_form_that_is_in_use(own: str, expected: dict, tmp_path: Path) -> None:
    project = load(f"services: {{app: {{image: x, {own}}}}}\n")
    oracle.write(render(project, extra=Additions("shop", "app", cpus="2", memory="1g")), tmp_path)
    app = oracle.configured(tmp_path)["services"]["app"]
    found = {key: app[key] for key in ("cpus", "mem_limit", "memswap_limit") if key in app}
    limits = app.get("deploy", {}).get("resources", {}).get("limits")
    assert (found | {"limits": limits} if limits else found) == expected


def test_mounts_of_this_machine_are_noticed_and_checked() -> None:
    texts = ("type=bind,source=/home/me/.ssh,target=/ssh", "type=bind,source=leaving,target=/x", "type=tmpfs,target=/t")
    parsed = tuple(devcontainer.mount_options.parse(text, Location("d.json", 3))[0] for text in texts)
    project = load(
        "services: {app: {image: x}}\n", files={"/home/me/key": "k"}, links={".devcontainer/leaving": "/home/me/key"}
    )
    extra = Additions("shop", "app", mounts=parsed)
    assert [str(notice) for notice in compose.notices(project, extra)] == [
        "d.json:3: `/home/me/.ssh` is not in the repository: the container gets the host's own path",
        "d.json:3: `/home/me/.ssh` is mounted: anyone in the container has access to the keys of the host",
    ]
    assert [str(problem) for problem in compose.problems(project, extra)] == [
        "d.json:3: volumes: `.devcontainer/leaving` is a link out of the repository:"
        " only files in the repository are sent to hosts, unless `--allow-outside` is set"
    ]


def test_what_watches_or_is_external_is_noticed() -> None:
    project = load(
        """
services:
  app: {image: x, develop: {watch: []}, networks: [shared]}
networks: {shared: {external: true}, own: {}}
volumes: {old: {external: {name: x}}, new: {external: false}}
"""
    )
    assert [str(notice).split(": ", 1)[1] for notice in project.notices] == [
        "services.app.develop: files are not watched on a host",
        "networks.shared: is external, and must exist on every host",
        "volumes.old: is external, and must exist on every host",
    ]


def test_importing_the_row_stays_light() -> None:
    import subprocess
    import sys

    code = "import sys, kamal_dev.compose; print([m for m in ('ruamel', 'yaml', 'rich', 'docker') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_images_of_equal_builds_are_one() -> None:
    project = load("services: {app: {build: .}, b: {build: .}}\n")
    assert len(set(images(project).values())) == 1


def test_a_mount_of_what_holds_the_repository_wants_the_repository_in_it() -> None:
    project = load("services:\n  app:\n    image: i\n    volumes: ['../..:/workspaces:cached']\n")
    assert render(project).workspace == ("shop",)

"""Steps for hosts as values: what is sent, and what is refused."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kamal_dev.commands import host, payload
from kamal_dev.errors import UsageError
from kamal_dev.model import File, Image, Release, Secret, Step, Version

RELEASE = Release(
    id="abc-12345678",
    stack="blog-1",
    version=Version("abc"),
    digest="12345678ff",
    files=(File("compose.yaml", b"services: {}\n"), File("a/.env", b"K=secret-in-env\n", 0o600)),
    images=(("app", Image("ghcr.io", "acme/blog-dev", "abc")), ("worker", Image("ghcr.io", "acme/blog-dev", "abc"))),
    third_party=("postgres:15",),
)
LOGIN = host.Login("ghcr.io", "robot", Secret("hunter2-\n$x"))


def members(step: Step) -> dict[str, tuple[int, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(step.stdin or b"")) as tar:
        files = ((member, tar.extractfile(member)) for member in tar.getmembers())
        return {member.name: (member.mode, content.read()) for member, content in files if content}


def words(step: Step) -> tuple[str, ...]:
    assert step.argv[:2] == ("sh", "-c")
    assert step.argv[3] == "kamal-dev"
    return step.argv[4:]


def test_every_script_in_the_folder_is_named() -> None:
    folder = Path(host.__file__).parents[1] / "host"
    assert sorted(path.name for path in folder.glob("*.sh")) == list(payload.SCRIPTS)


def test_a_step_is_written_as_its_label() -> None:
    scripts = dict.fromkeys(payload.SCRIPTS, "")
    assert host.facts(scripts, "blog-1").text == "facts blog-1"
    assert host.bootstrap(scripts, "t1").text == "bootstrap"
    assert host.pull(scripts, "t1", ("postgres:15", "redis:7")).text == "pull postgres:15 redis:7"
    assert host.apply(scripts, "t1", RELEASE).text == "apply blog-1 abc-12345678"
    assert host.attach(scripts, "t1").text == "attach t1"
    assert host.status(scripts).text == "status"
    assert host.status(scripts, ("blog-1",)).text == "status blog-1"
    assert host.remove(scripts, "blog-1").text == "remove blog-1"
    assert host.remove(scripts, "blog-1", keep_volumes=True).text == "remove blog-1 keep-volumes"
    assert host.load(scripts).text == "load"
    assert host.place(scripts, "blog-1").text == "place blog-1"
    assert host.place(scripts, "blog-1", "db").text == "place blog-1 db"
    assert host.environment(scripts, "t1", {"A": "secret"}).text == "environment"
    assert host.releases(scripts, ("blog-1",)).text == "releases blog-1"
    assert host.rollback(scripts, "t1", "blog-1", "abc-12345678").text == "rollback blog-1 abc-12345678"
    assert host.prune(scripts, "blog-1", (), retain=5, dry_run=True).text == "prune blog-1 dry-run"
    assert host.prune(scripts, "blog-1", (), retain=5, dry_run=False).text == "prune blog-1"


def test_facts_send_the_script_with_what_it_sources(scripts: Mapping[str, str]) -> None:
    step = host.facts(scripts, "blog-1", ("postgres:15",))
    assert words(step) == ("facts.sh", "blog-1", "", "postgres:15")
    sourced = [
        "engine.sh",
        "engine_images.sh",
        "engine_tasks.sh",
        "facts.sh",
        "history.sh",
        "lib.sh",
        "lifetime.sh",
        "lock.sh",
        "observe.sh",
        "pools.sh",
        "ports.sh",
        "stack.sh",
        "unit.sh",
    ]
    assert sorted(members(step)) == sourced


def test_every_script_that_sources_another_gets_it(scripts: Mapping[str, str]) -> None:
    steps = (
        host.facts(scripts, "a"),
        host.bootstrap(scripts, "t"),
        host.pull(scripts, "t", ()),
        host.apply(scripts, "t", RELEASE),
        host.apply(scripts, "t", RELEASE, brings_watcher=True),
        host.attach(scripts, "t"),
        host.status(scripts),
        host.remove(scripts, "a"),
        host.place(scripts, "a"),
        host.releases(scripts),
        host.rollback(scripts, "t", "a", "b"),
        host.prune(scripts, "a", (), retain=5, dry_run=False),
    )
    for step in steps:
        sent = members(step)
        for name, (_, text) in sent.items():
            needed = {
                line.split("source=")[1] for line in text.decode().splitlines() if "shellcheck source-path" in line
            }
            assert needed <= set(sent), f"{step.text}: {name}"


def test_a_release_brings_the_watcher_where_there_is_none(scripts: Mapping[str, str]) -> None:
    brought = members(host.apply(scripts, "t", RELEASE, brings_watcher=True))
    digest, *names = brought["meta/watcher"][1].decode().splitlines()
    assert digest == payload.watcher_version(scripts)
    assert {"watcher.sh", *names} <= set(brought)
    assert not {"meta/watcher", "watcher.sh"} & set(members(host.apply(scripts, "t", RELEASE)))


def test_apply_runs_apart_from_the_channel_with_the_release_and_the_images_once(scripts: Mapping[str, str]) -> None:
    step = host.apply(scripts, "t1", RELEASE, timeout=60, window=1.5, services=("app",), workspace=("blog",))
    assert words(step) == (
        *("detach.sh", "t1", "apply.sh", "blog-1", "abc-12345678", "12345678ff", "60000", "1500", "app"),
    )
    sent = members(step)
    assert sent["files/compose.yaml"] == (0o644, b"services: {}\n")
    assert sent["files/a/.env"] == (0o600, b"K=secret-in-env\n")
    assert sent["meta/images"] == (0o600, b"ghcr.io/acme/blog-dev:abc\npostgres:15\n")
    assert sent["meta/version"] == (0o600, b"abc\n")
    assert sent["meta/workspace"] == (0o600, b"blog\n")
    assert "registry/password" not in sent


def test_a_password_travels_in_a_private_file_alone(scripts: Mapping[str, str]) -> None:
    for step in (host.apply(scripts, "t", RELEASE, login=LOGIN), host.pull(scripts, "t", ("a",), LOGIN)):
        sent = members(step)
        assert sent["registry/password"] == (0o600, b"hunter2-\n$x")
        assert sent["registry/server"] == (0o600, b"ghcr.io")
        assert sent["registry/username"] == (0o600, b"robot")
        assert "hunter2" not in repr(step) + step.text + " ".join(step.argv)


def test_equal_releases_give_equal_bytes(scripts: Mapping[str, str]) -> None:
    assert host.apply(scripts, "t", RELEASE) == host.apply(scripts, "t", RELEASE)


def test_a_long_path_and_a_file_of_no_bytes_travel() -> None:
    files = (File("/".join(["folder-with-a-long-name"] * 12), b"x"), File("empty", b""))
    sent = members(Step(("x",), stdin=payload.pack(files)))
    assert {name: content for name, (_, content) in sent.items()} == {files[0].path: b"x", "empty": b""}


@pytest.mark.parametrize(
    "make",
    [
        lambda scripts: host.facts(scripts, "Blog 1"),
        lambda scripts: host.facts(scripts, "-x"),
        lambda scripts: host.remove(scripts, ".."),
        lambda scripts: host.facts(scripts, "a", images=("--privileged",)),
        lambda scripts: host.facts(scripts, "a", images=("a b",)),
        lambda scripts: host.pull(scripts, "t", ("x; touch y",)),
        lambda scripts: host.pull(scripts, "../t", ("a",)),
        lambda scripts: host.apply(scripts, "t", RELEASE, services=("-x",)),
        lambda scripts: host.apply(scripts, "t", RELEASE, workspace=("../../etc",)),
        lambda scripts: host.apply(scripts, "t", RELEASE, workspace=("/etc",)),
        lambda scripts: host.apply(scripts, "t", RELEASE, workspace=("a\nb",)),
        lambda scripts: host.apply(scripts, "t", RELEASE, workspace=("",)),
    ],
)
def test_a_name_that_could_be_taken_for_something_else_is_refused(
    scripts: Mapping[str, str], make: Callable[[Mapping[str, str]], Step]
) -> None:
    with pytest.raises(UsageError, match=r"cannot|not a valid"):
        make(scripts)


def test_the_wrapper_keeps_modes_and_exit_code_and_leaves_nothing_behind(tmp_path: Path) -> None:
    scripts = dict.fromkeys(payload.SCRIPTS, 'ls -l "${0%/*}/lib.sh"; echo "[$1][$2][$3]"; exit 7\n')
    step = host.facts(scripts, "a-1", ("b.c",))
    done = subprocess.run(step.argv, input=step.stdin, capture_output=True, check=False, env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 7
    assert b"-rw-r--r--" in done.stdout
    assert b"[a-1][][b.c]" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_payload_that_cannot_be_unpacked_is_a_result(tmp_path: Path) -> None:
    step = host.facts(dict.fromkeys(payload.SCRIPTS, ""), "a-1")
    done = subprocess.run(
        step.argv, input=b"not a tar", capture_output=True, check=False, env={"TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 1
    assert b'"ok":false,"phase":"upload"' in done.stdout
    assert list(tmp_path.iterdir()) == []


OVERRIDDEN = {"save_result"}  # what changes only services stores no result in a release


def test_no_function_of_a_script_replaces_one_that_it_sources(scripts: Mapping[str, str]) -> None:
    def sourced(name: str, seen: dict[str, None]) -> dict[str, None]:
        seen[name] = None
        for other in re.findall(r'^\s*\. "\$here/([a-z_]+\.sh)"', scripts[name], re.MULTILINE):
            if other not in seen:
                sourced(other, seen)
        return seen

    for name in scripts:
        functions = [word for file in sourced(name, {}) for word in set(re.findall(r"^(\w+)\(\)", scripts[file], re.M))]
        assert {word for word, times in Counter(functions).items() if times > 1} <= OVERRIDDEN, name

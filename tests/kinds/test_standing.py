"""What the host says of a stack (`host/observe.sh`), told from rows as the engine gives them: no engine is needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.hosts import FOLDER
from tests.shells import SHELLS

NET = b"blog-1_default".hex()
OTHER = b"a {b}|c".hex()


def row(
    name: str,
    state: str = "running",
    *,
    health: str = "",
    code: int = 0,
    restarts: int = 0,
    policy: str = "no",
    started: str = "2020-01-01T00:00:00.5Z",
    is_main: bool = False,
    called: str = "",
    networks: str = f"{NET},",
    image: str = "blog:2",
    made: str = "",
) -> str:
    """Return the row of a container of the service `name`."""
    main = "true" if is_main else ""
    facts = (f"id-{name}", name, state, health, code, restarts, policy, started, main, "blog-1")
    return "|".join(map(str, (*facts, called or f"blog-1-{name}-1", networks, image, 42, "", "", "", made)))


GOOD = f"app up blog-1-app-1 {NET}, blog:2\ndb up blog-1-db-1 {NET}, blog:2\n"
APP, DB = row("app", is_main=True), row("db")


def weighed(
    tmp_path: Path, *rows: str, good: str = GOOD, baseline: str = "", limit: str = "", shell: str = "sh"
) -> tuple[str, set[str]]:
    """Return the state of the stack, and what is wrong with which container."""
    release = tmp_path / ".kamal-dev/blog-1/releases/v1/.kamal-dev"
    release.mkdir(parents=True, exist_ok=True)
    (release / "good").write_text(good)
    (release.parents[2] / "baseline").write_text(baseline)
    if limit:
        (tmp_path / "meta").mkdir(exist_ok=True)
        (tmp_path / "meta/restarts").write_text(limit)
    script = """
    here=$0
    . "$here/lib.sh"; . "$here/stack.sh"
    here=$1 found=$2
    . "$0/observe.sh"
    use_stack blog-1
    judge_stack v1
    printf '%s\n' "$stack_state"
    printf '%s\n' "$problems" | cut -d'|' -f1,3-
    """
    argv = (*shell.split(), "-c", script, str(FOLDER), str(tmp_path), "\n".join(rows))
    path = "/usr/bin:/bin"
    if shell.startswith("busybox"):
        # All programs are BusyBox's then, not the shell alone.
        programs = tmp_path / "programs"
        programs.mkdir(exist_ok=True)
        subprocess.run(("busybox", "--install", "-s", programs), check=False, capture_output=True)
        path = f"{programs}:{path}"
    environment = {"HOME": str(tmp_path), "PATH": path, "DOCKER_HOST": "unix:///none"}
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=30)
    assert ended.returncode == 0, ended
    assert ended.stderr == ""
    state, *problems = ended.stdout.splitlines()
    return state, {problem for problem in problems if problem}


NOW = "2099-01-01T00:00:00Z"
CASES: dict[str, tuple[tuple[str, ...], str, set[str]]] = {
    "all as it was": ((APP, DB), "up", set()),
    "a one-shot that ended": ((APP, row("db", "exited")), "up", set()),
    "one more network": ((APP, row("db", networks=f"{OTHER},{NET},")), "up", set()),
    "missing": ((APP,), "degraded", {"blog-1-db-1|missing|db"}),
    "nothing left": ((), "down", {"blog-1-app-1|missing|app", "blog-1-db-1|missing|db"}),
    "renamed": ((APP, row("db", called="x")), "degraded", {"id-db|renamed|renamed from `blog-1-db-1`"}),
    "off its network": (
        (APP, row("db", networks="")),
        "degraded",
        {"id-db|offline|not connected to the network `blog-1_default`"},
    ),
    "on another network": (
        (APP, row("db", networks=f"{OTHER},")),
        "degraded",
        {"id-db|offline|not connected to the network `blog-1_default`"},
    ),
    "of an older version": (
        (APP, row("db", image="blog:1")),
        "degraded",
        {"id-db|outdated|runs the image `blog:1` instead of `blog:2`"},
    ),
    "left over": ((APP, DB, row("jobs")), "degraded", {"id-jobs|leftover|not part of this release"}),
    "scaled by hand": (
        (APP, DB, row("db", called="blog-1-db-2").replace("id-db", "id-db2")),
        "degraded",
        {"id-db2|leftover|not part of this release"},
    ),
    "paused": ((APP, row("db", "paused")), "degraded", {"id-db|paused|paused"}),
    "unhealthy": ((APP, row("db", health="unhealthy")), "degraded", {"id-db|unhealthy|its health check fails"}),
    "ended": ((APP, row("db", "exited", code=3)), "degraded", {"id-db|exited 3|exited with code 3"}),
    "ended, to run always": (
        (APP, row("db", "exited", policy="always")),
        "degraded",
        {"id-db|exited 0|exited with code 0"},
    ),
    "the main service ended with 0": (
        (row("app", "exited", is_main=True), DB),
        "degraded",
        {"id-app|exited 0|exited with code 0: nothing keeps the main service running"},
    ),
    "started again and again": (
        (APP, row("db", "restarting", code=1, restarts=3, policy="always")),
        "degraded",
        {"id-db|crash loop|crash loop: restarted 3 times"},
    ),
    "started again": (
        (APP, row("db", "restarting", code=1, restarts=1, policy="always")),
        "degraded",
        {"id-db|restarting|exited with code 1 and is being restarted"},
    ),
    "never started": ((APP, row("db", "created")), "degraded", {"id-db|created|never started"}),
    "restarted long ago": ((APP, row("db", restarts=9)), "up", set()),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("case", CASES)
def test_a_stack_is_weighed_against_what_its_release_had(tmp_path: Path, case: str, shell: str) -> None:
    rows, state, problems = CASES[case]
    assert weighed(tmp_path, *rows, shell=shell) == (state, problems)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_container_that_was_recreated_with_another_configuration_is_changed(tmp_path: Path, shell: str) -> None:
    good = "".join(f"{line} made-1\n" for line in GOOD.splitlines())
    app, db = row("app", is_main=True, made="made-1"), row("db", made="made-2")
    changed = {"id-db|changed|recreated with another configuration"}
    assert weighed(tmp_path, app, db, good=good, shell=shell) == ("degraded", changed)
    assert weighed(tmp_path, app, DB, good=good, shell=shell) == ("up", set()), "an engine that does not say"
    assert weighed(tmp_path, app, db, shell=shell) == ("up", set()), "a release of an earlier version"
    outdated = {"id-db|outdated|runs the image `blog:1` instead of `blog:2`"}
    old = row("db", image="blog:1", made="made-2")
    assert weighed(tmp_path, app, old, good=good, shell=shell) == ("degraded", outdated), "said once"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_container_that_restarts_is_up_again_after_a_minute_for_each_time(tmp_path: Path, shell: str) -> None:
    now = "date -u +%Y-%m-%dT%H:%M:%SZ"
    recent = subprocess.run(("sh", "-c", now), check=True, capture_output=True, text=True).stdout.strip()
    state, problems = weighed(tmp_path, APP, row("db", restarts=2, started=recent), shell=shell)
    assert state == "degraded"
    assert "id-db|restarted|restarted 2 times, last" in problems.pop()
    # Those before the release came up count for nothing, nor do those before somebody started it by hand.
    known = "restarts id-db 2\n"
    assert weighed(tmp_path, APP, row("db", restarts=2, started=recent), baseline=known, shell=shell) == ("up", set())
    assert weighed(tmp_path, APP, row("db", restarts=0, started=recent), baseline=known, shell=shell) == ("up", set())


@pytest.mark.parametrize(
    ("limit", "restarts", "state"),
    [
        ("", 2, "restarting"),
        ("", 3, "crash loop"),
        ("5", 4, "restarting"),
        ("5", 5, "crash loop"),
        ("1", 1, "crash loop"),
    ],
)
def test_restarts_are_a_crash_loop_from_the_number_that_the_release_allows(
    tmp_path: Path, limit: str, restarts: int, state: str
) -> None:
    looping = row("db", "restarting", code=1, restarts=restarts, policy="always")
    _, problems = weighed(tmp_path, APP, looping, limit=limit)
    assert {problem.split("|")[1] for problem in problems} == {state}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_folder_that_was_replaced_is_noticed_until_the_container_starts_again(tmp_path: Path, shell: str) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    there = folder.stat()
    started = APP.split("|")[7]
    for found, problems in (
        (f"{there.st_dev}:{there.st_ino}", set()),
        (f"{there.st_dev}:1", {"id-app|stale|its workspace folder was deleted or replaced"}),
    ):
        seen = f"bind id-app {started} {found} {folder}\n"
        assert weighed(tmp_path, APP, DB, baseline=seen, shell=shell)[1] == problems
    assert weighed(tmp_path, APP, DB, baseline=f"bind id-app earlier 1:1 {folder}\n", shell=shell) == ("up", set())
    assert (
        weighed(tmp_path, APP, DB, baseline=f"bind id-app {started} 1:1 {folder}/gone\n", shell=shell)[0] == "degraded"
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_a_release_of_an_earlier_version_of_dev_is_weighed_by_its_services(tmp_path: Path, shell: str) -> None:
    good = "app up\ndb up\n"
    assert weighed(tmp_path, APP, DB, good=good, shell=shell) == ("up", set())
    assert weighed(tmp_path, APP, good=good, shell=shell) == ("degraded", {"-|missing|db"})
    left = {"id-jobs|leftover|not part of this release"}
    assert weighed(tmp_path, APP, DB, row("jobs"), good=good, shell=shell) == ("degraded", left)

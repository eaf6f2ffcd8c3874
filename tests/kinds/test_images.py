"""A tag is a name, not a cache key.

The builder is asked at every deploy, and its own cache decides what is done again: no file, argument or base
image is missed because a version did not change. What the build reported is what is pushed and deployed,
whatever the tag means by then, here or in the registry.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from kamal_dev.errors import EngineError
from kamal_dev.model import Image, Result, Step
from kamal_dev.output import Output
from kamal_dev.pipeline.images import building, local_registry
from kamal_dev.pipeline.images.engine import inspect
from kamal_dev.pipeline.images.pushing import push_all
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from kamal_dev.shell.recorder import Recorder
from tests.real.lab import Lab, Repository, docker, run

pytestmark = pytest.mark.real

NOBODY = "root@127.0.0.1:1"
DOCKERFILE = 'FROM debian:12\nARG WORD=none\nLABEL word=$WORD\nCOPY . /context/\nCMD ["sleep", "infinity"]\n'
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
SINGLE = "application/vnd.docker.distribution.manifest.v2+json"


def repository(lab: Lab, name: str, dockerfile: str = DOCKERFILE, settings: str = "") -> Repository:
    """Make a repository whose only service is built from a folder."""
    compose = "services:\n  app:\n    build: {context: ./app}\n"
    files = {".devcontainer/app/Dockerfile": dockerfile, ".devcontainer/app/kept": "1", ".gitignore": "ignored\n"}
    return lab.small(name, [NOBODY], files, compose=compose, settings=settings)


def context(made: Repository) -> Path:
    """Return the folder that the image is built from."""
    return made.root / ".devcontainer/app"


def built(made: Repository, version: str | None = None) -> str:
    """Build as `dev deploy` does; returns the id of the image that the tag of the version means then."""
    with opened(made, version) as run_:
        building.build_all(run_.project, run_.tools, BuildOptions())
    return docker("image", "inspect", "--format", "{{.Id}}", made.image(version or "")).strip()


def holds(image: str, path: str) -> str:
    """Return a file of an image, empty where there is none."""
    return docker("run", "--rm", "--network=none", image, "sh", "-c", f"cat /context/{path} 2>/dev/null || true")


def stored(made: Repository, version: str, accept: str = f"{INDEX}, {SINGLE}") -> tuple[str, str]:
    """Return the digest that the registry has under a tag, and the manifest."""
    server, _, name = made.image(version).partition("/")
    url = f"http://{server}/v2/{name.rpartition(':')[0]}/manifests/{version}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
        return answer.headers["Docker-Content-Digest"], answer.read().decode()


def ignored(made: Repository) -> None:
    (context(made) / "ignored").write_text("new")


def allowed_again(made: Repository) -> None:
    (context(made) / ".dockerignore").write_text("*\n!ignored\n")


def excluded_by_git(made: Repository) -> None:
    (made.root / ".git/info/exclude").write_text("secretly\n")
    (context(made) / "secretly").write_text("new")


def assumed_unchanged(made: Repository) -> None:
    run("git", "update-index", "--assume-unchanged", ".devcontainer/app/kept", cwd=made.root)
    (context(made) / "kept").write_text("new")


def old_file(made: Repository) -> None:
    (context(made) / "old").write_text("new")
    os.utime(context(made) / "old", (1, 1))


def set_back(made: Repository) -> None:
    """Write other content of the same size, with the date of what was there."""
    (context(made) / "old").write_text("two")
    os.utime(context(made) / "old", (1, 1))


def dockerfile_set_back(made: Repository) -> None:
    path = context(made) / "Dockerfile"
    path.write_text(path.read_text().replace("word=$WORD", "work=$WORD"))
    os.utime(path, (1, 1))


def again(made: Repository) -> None:
    path = context(made) / "Dockerfile"
    path.write_text(path.read_text().replace("work=$WORD", "wore=$WORD"))
    os.utime(path, (1, 1))


def deleted(made: Repository) -> None:
    (context(made) / "kept").unlink()


def argument(made: Repository) -> None:
    made.environment["WORD"] = "new"


CHANGES: dict[str, Callable[[Repository], None]] = {
    "a file that git ignores": ignored,
    "a file that .git/info/exclude names": excluded_by_git,
    "a file that git takes for unchanged": assumed_unchanged,
    "a file with an old date": old_file,
    "a file of the same size and date": set_back,
    "a Dockerfile with an old date": dockerfile_set_back,
    "a Dockerfile of the same size and date": again,
    "a file that is gone": deleted,
    "what .dockerignore lets through": allowed_again,
    "a build argument": argument,
}


def test_whatever_changes_is_in_the_image_of_the_same_version(lab: Lab) -> None:
    made = repository(lab, "covered")
    made.commit({".devcontainer/compose.yaml": "services: {app: {build: {context: ./app, args: [WORD]}}}\n"})
    made.environment["WORD"] = "old"
    seen = [built(made, "v1")]
    for change in CHANGES.values():
        change(made)
        seen.append(built(made, "v1"))
    assert dict(zip(CHANGES, [one != other for one, other in pairwise(seen)], strict=True)) == (
        dict.fromkeys(CHANGES, True)
    )
    assert built(made, "v1") == seen[-1]


def test_a_clean_commit_is_not_a_reason_to_skip_a_build(lab: Lab) -> None:
    made = repository(lab, "clean")
    for content in ("new", "newer"):
        (context(made) / "ignored").write_text(content)
        built(made)
        assert holds(made.image(), "ignored") == content


def test_a_base_image_that_moved_is_not_missed(lab: Lab) -> None:
    made = repository(lab, "base", "FROM debian:12\nRUN echo one >/one\n")
    base = made.image("base")
    docker("tag", "debian:12", base)
    made.commit({".devcontainer/app/Dockerfile": f"FROM {base}\n"})
    try:
        before = built(made)
        docker("build", "--quiet", "--tag", base, "-", text="FROM debian:12\nRUN echo two >/two\n")
        assert built(made) != before
    finally:
        docker("image", "rm", base)


def test_what_the_build_reported_is_pushed_even_where_the_tag_means_something_else_by_then(lab: Lab) -> None:
    made = repository(lab, "moved")
    with opened(made, "v1") as run_:
        reported = building.build_all(run_.project, run_.tools, BuildOptions())
        # An image of its own: what bears this name now is removed with the lab.
        docker("build", "--quiet", "--tag", made.image("v1"), "-", text="FROM debian:12\nRUN echo other >/other\n")
        other = docker("image", "inspect", "--format", "{{.Id}}", made.image("v1")).strip()
        local_registry.ensure(run_.project, run_.tools)
        (pushed,) = (item.image for item in push_all(run_.project, run_.tools, config="", built=reported))
    digest, manifest = stored(made, "v1")
    assert pushed.digest == digest
    # Of the engine here, the configuration's digest is the id of the image.
    assert json.loads(manifest)["config"]["digest"] == reported[0].image.digest != other


def test_an_older_image_of_one_platform_never_replaces_the_index_in_the_registry(lab: Lab) -> None:
    made = repository(lab, "index")
    made.dev("build", "--version", "v1")
    made.dev("push", "--version", "v1")
    digest, manifest = stored(made, "v1")
    pushed = put(made, "v1", as_index(digest, len(manifest)))
    ignored(made)
    made.dev("build", "--version", "v1")
    ended = made.dev("push", "--version", "v1")
    assert "Already pushed" in ended.stderr
    assert ended.stdout.strip() == f"{made.image('v1')}@{pushed}"
    assert stored(made, "v1")[0] == pushed


def test_an_image_that_is_built_anew_replaces_another_of_its_tag(lab: Lab) -> None:
    made = repository(lab, "anew")
    digests = []
    for content in ("new", "newer"):
        (context(made) / "ignored").write_text(content)
        made.dev("build", "--version", "v1")
        made.dev("push", "--version", "v1")
        digests.append(stored(made, "v1")[0])
    assert digests[0] != digests[1]


@contextmanager
def opened(made: Repository, version: str | None = None) -> Iterator[Run]:
    """Yield a run of the repository, for the part of a deploy that needs no host."""
    run_ = Run.open(
        made.root, Output(lambda event: None), version=version, environment={**os.environ, **made.environment}
    )
    try:
        yield run_
    finally:
        run_.close()


def as_index(digest: str, size: int) -> bytes:
    """Return an index that has one image for two platforms."""
    entry = {"mediaType": SINGLE, "digest": digest, "size": size}
    platforms = [{"architecture": name, "os": "linux"} for name in ("amd64", "arm64")]
    listed = [{**entry, "platform": platform} for platform in platforms]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()


def put(made: Repository, version: str, manifest: bytes) -> str:
    """Write an index under a tag of the registry, as a build for several platforms does; returns its digest."""
    server, _, name = made.image(version).partition("/")
    url = f"http://{server}/v2/{name.rpartition(':')[0]}/manifests/{version}"
    request = urllib.request.Request(url, manifest, {"Content-Type": INDEX}, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["Docker-Content-Digest"])


BUILT, PUSHED = f"sha256:{'b' * 64}", f"sha256:{'c' * 64}"


@pytest.mark.parametrize(
    ("report", "pushed", "digest"),
    [
        ({"containerimage.config.digest": BUILT, "containerimage.digest": PUSHED}, False, BUILT),
        ({"containerimage.digest": BUILT}, False, BUILT),
        ({"containerimage.digest": PUSHED}, True, PUSHED),
    ],
    ids=["kept here", "kept in a containerd store", "pushed by the build"],
)
def test_the_digest_of_an_image_is_the_one_that_its_build_reports(
    report: dict[str, str], pushed: bool, digest: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps({**report, "buildx.build.provenance": {}}))
    engine = Recorder(answer=lambda step: _has(step, BUILT))
    image, folder = Image("r.example", "blog", "v1"), "" if pushed else None
    found = building._reported(cast(Project, None), engine, image, file, folder)
    assert found.image.digest == digest
    assert (found.present is None) == pushed
    # Neither the tag here nor the one in the registry is asked, for it may mean another image.
    assert not [step for step in engine.steps if step.argv[-1].endswith(":v1")]


def _has(step: Step, id: str) -> Result:
    known = {"id": id, "digests": [], "platform": "linux/amd64"}
    return Result(step, int(step.argv[-1] != id), json.dumps(known), "No such image")


def test_an_engine_that_does_not_answer_is_not_one_without_the_image() -> None:
    silent = Recorder(answer=lambda step: Result(step, 1, errors="Cannot connect to the Docker daemon"))
    with pytest.raises(EngineError, match="no Docker Engine answers"):
        inspect(silent, "blog:v1")

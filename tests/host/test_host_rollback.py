"""Going back on a real host: which releases there are, what comes back with one, and what is left where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kamal_dev.commands import answers, events, host
from kamal_dev.commands.stacks import KeptRelease
from kamal_dev.model import File, Image, Release
from tests.host.lab import SLEEP, TINY, Answer, Lab, is_running, release, service, token
from tests.real.lab import wait_for

pytestmark = pytest.mark.real

MAIN = '{kamal-dev.main: "true"}'
CRASH = '["/bin/sh", "-c", "echo boom >&2; exit 3"]'


class Stack:
    """Deploys one stack again and again, and goes back."""

    def __init__(self, lab: Lab, scripts: Mapping[str, str], name: str) -> None:
        self.lab, self.scripts, self.name = lab, scripts, name

    def version(self, version: str, command: str = SLEEP, **options: Any) -> Release:
        """Make a release whose container differs from that of every other version."""
        body = service(command, labels=f'{{kamal-dev.main: "true", version: "{version}"}}')
        return release(self.name, version, app=body.replace(TINY, options.get("image", TINY)), **options)

    def deploy(self, wanted: Release, **options: Any) -> Answer:
        options = {"window": 0, "timeout": 60, "performer": "ann"} | options
        return self.lab.run(host.apply(self.scripts, token(), wanted, **options))

    def back(self, to: str, **options: Any) -> Answer:
        options = {"window": 0, "timeout": 60, "performer": "bob"} | options
        return self.lab.run(host.rollback(self.scripts, token(), self.name, to, **options))

    def releases(self) -> dict[str, KeptRelease]:
        found = answers.releases(self.lab.run(host.releases(self.scripts, (self.name,))).output)
        return {kept.version: kept for kept in found}

    def running(self) -> str:
        return self.lab.sh(f"docker inspect -f '{{{{.Config.Labels.version}}}}' {self.name}-app-1")

    def remembered(self) -> list[str]:
        """Return what the hooks of every container so far have written."""
        return self.lab.sh(f"cat /root/.kamal-dev/{self.name}/workspace/hooks 2>/dev/null || true").split()


@pytest.fixture
def blog(lab: Lab, scripts: Mapping[str, str], stack: str) -> Stack:
    return Stack(lab, scripts, stack)


def hooks(line: str) -> tuple[File, ...]:
    """Return commands as `devcontainer.lifecycle.files` writes them."""
    files = {
        "exec/probe": "",
        "exec/before": "",
        "exec/after": "cd /",
        "lifecycle/timeout": "30",
        "lifecycle/00-postCreateCommand/00.run": f"set -- /bin/sh -c '{line}'",
        "lifecycle/00-postCreateCommand/00.name": "",
        "lifecycle/00-postCreateCommand/00.text": line,
    }
    return tuple(File(path, f"{text}\n".encode(), 0o600) for path, text in files.items())


def logs(answer: Answer) -> list[str]:
    told = (answers.event(line) for line in answer.output.splitlines())
    return [event.text for event in told if isinstance(event, events.Log)]


def test_a_stack_goes_back_and_its_releases_say_so(blog: Stack) -> None:
    one, two, bad = blog.version("v1"), blog.version("v2"), blog.version("v3", CRASH)
    for wanted in (one, two):
        assert blog.deploy(wanted, lifecycle=hooks(f"echo {wanted.version}")).outcome.ok
    assert [kept.version for kept in blog.releases().values() if kept.is_before] == ["v1"]
    fell = blog.deploy(bad, lifecycle=hooks("echo v3"))
    # What came back is a new container, so that its own commands are run in it.
    assert (fell.outcome.state, fell.outcome.current, logs(fell)) == ("restored", two.id, ["v2"]), fell
    assert is_running(blog.lab.run(host.facts(blog.scripts, blog.name)).facts, two)

    found = blog.releases()
    assert list(found) == ["v3", "v2", "v1"]
    assert [kept.version for kept in found.values() if kept.is_current and kept.is_last_good] == ["v2"]
    assert [kept.version for kept in found.values() if kept.is_before] == ["v1"]
    assert (found["v3"].state, found["v3"].reason, found["v3"].good) == ("restored", "app did not stay up", False)
    assert (found["v1"].state, found["v1"].performer, found["v1"].missing) == ("new", "ann", ())
    assert found["v1"].at.endswith("Z")

    blog.lab.sh(f"docker exec {blog.name}-app-1 /bin/busybox touch /of-the-container")
    answer = blog.back(one.id)
    assert (answer.outcome.state, answer.outcome.version, answer.outcome.previous) == ("new", "v1", two.id), answer
    assert (blog.running(), logs(answer)) == ("v1", ["v1"])
    assert is_running(blog.lab.run(host.facts(blog.scripts, blog.name)).facts, one)
    assert blog.back(one.id).outcome.state == "same"
    audit = blog.lab.sh(f"grep rollback /root/.kamal-dev/{blog.name}/audit.log").splitlines()
    assert [('"by":"bob"' in line, '"state":"new"' in line) for line in audit] == [(True, True), (True, False)]
    kept = blog.releases()
    assert (kept["v1"].is_current, kept["v1"].performer) == (True, "ann")
    assert [item.version for item in kept.values() if item.is_before] == []


def test_a_release_is_good_only_once_its_lifecycle_commands_have_run(blog: Stack) -> None:
    one, two, three = (blog.version(version) for version in ("v1", "v2", "v3"))
    mended, mend = hooks("test -e /mended"), f"docker exec {blog.name}-app-1 /bin/busybox touch /mended"
    assert blog.deploy(one, lifecycle=hooks("echo v1")).outcome.ok
    for wanted in (two, three):
        assert blog.deploy(wanted, lifecycle=mended).outcome.state == "unfinished"
    found = blog.releases()
    assert [kept.version for kept in found.values() if kept.good or kept.is_last_good or kept.is_before] == ["v1"]
    look = answers.leftovers(blog.lab.run(host.prune(blog.scripts, blog.name, (), retain=1, dry_run=True)).output)
    assert [item.name for item in look if item.kind == "release"] == [two.id], "v1 is the one to go back to"
    fell = blog.deploy(blog.version("v4", CRASH), window=1).outcome
    assert (fell.state, fell.previous, fell.current) == ("restored", one.id, one.id)

    # A deploy that runs what was left makes it good; one in whose container they fail again is so no longer.
    assert blog.deploy(three, lifecycle=mended).outcome.state == "unfinished"
    blog.lab.sh(mend)
    assert blog.deploy(three, lifecycle=mended).outcome.state == "new"
    assert is_running(blog.lab.run(host.facts(blog.scripts, blog.name)).facts, three)
    assert [kept.version for kept in blog.releases().values() if kept.good and kept.is_last_good] == ["v3"]
    put_back = blog.deploy(blog.version("v5", CRASH), window=1).outcome
    assert (put_back.state, put_back.current) == ("restored", three.id)
    assert f"after the rollback to `{three.id}`, postCreateCommand failed" in put_back.reason
    found = blog.releases()
    assert (found["v3"].is_current, found["v3"].good, found["v1"].is_last_good) == (True, False, True)


def test_what_runs_unfinished_is_put_back_where_no_release_is_good(blog: Stack) -> None:
    first = blog.version("v1")
    assert blog.deploy(first, lifecycle=hooks("test -e /never")).outcome.state == "unfinished"
    fell = blog.deploy(blog.version("v2", CRASH), window=1).outcome
    assert (fell.state, fell.current) == ("restored", first.id), fell


def test_a_release_that_does_not_come_up_again_is_put_back(blog: Stack) -> None:
    one, two = blog.version("v1"), blog.version("v2")
    for wanted in (one, two):
        assert blog.deploy(wanted, lifecycle=hooks(f"echo {wanted.version}")).outcome.ok
    blog.lab.sh(f"sed -i 's/sleep/no-such-thing/' /root/.kamal-dev/{blog.name}/releases/{one.id}/compose.yaml")
    answer = blog.back(one.id)
    assert (answer.outcome.ok, answer.outcome.state, answer.outcome.current) == (False, "restored", two.id), answer
    assert answer.outcome.failed[0].reason.startswith("exited with code")
    assert (blog.running(), logs(answer)) == ("v2", ["v2"])
    assert blog.releases()["v1"].good, "it was once"
    unknown = blog.back("v9-00000000").outcome
    assert (unknown.state, unknown.reason) == ("untouched", "release `v9-00000000` not found on this host")


def test_an_image_that_is_gone_for_good_refuses_the_rollback_before_anything_stops(blog: Stack) -> None:
    gone = "localhost:5999/gone:1"
    blog.lab.sh(f"docker tag {TINY} {gone}")
    old, new = blog.version("v1", image=gone), blog.version("v2")
    for wanted in (old, new):
        assert blog.deploy(wanted).outcome.ok
    started = blog.lab.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {blog.name}-app-1")
    blog.lab.sh(f"docker image rm {gone}")
    assert blog.releases()["v1"].missing == (gone,)
    answer = blog.back(old.id)
    assert (answer.outcome.ok, answer.outcome.state, answer.outcome.phase) == (False, "untouched", "pull"), answer
    assert answer.outcome.reason.startswith(f"could not pull images: {gone}: ")
    assert blog.lab.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {blog.name}-app-1") == started
    assert blog.releases()["v2"].is_current


def test_an_image_that_was_sent_is_run_by_a_name_that_no_other_content_has(blog: Stack) -> None:
    make = "printf 'FROM {}\\nLABEL made={}\\n' | docker build -q -t {} -"
    ids = []
    for made in ("one", "two"):
        ids.append(blog.lab.sh(make.format(TINY, made, "kamal-dev-test/moved:1")))
        image = Image("", "kamal-dev-test/moved", f"id-{ids[-1].removeprefix('sha256:')[:32]}")
        blog.lab.sh(f"docker tag {ids[-1]} {image}")
        wanted = blog.version(made, CRASH if made == "two" else SLEEP, image=str(image))
        answer = blog.deploy(Release(**{**wanted.__dict__, "images": (("app", image),), "third_party": ()}))
    assert answer.outcome.state == "restored"
    assert blog.lab.sh(f"docker inspect -f '{{{{.Image}}}}' {blog.name}-app-1") == ids[0]


def images(lab: Lab) -> set[str]:
    return set(lab.sh("docker image ls --format '{{.Repository}}:{{.Tag}}'").split())


def wait_until_gone(lab: Lab, image: str) -> None:
    """Wait for an image to be removed, which is done after a deploy has ended."""
    wait_for(f"the removal of {image}", lambda: image not in images(lab))


def test_releases_and_images_beyond_those_retained_go_and_what_is_needed_or_foreign_stays(
    blog: Stack, lab: Lab, scripts: Mapping[str, str]
) -> None:
    make = "printf 'FROM {}\\nLABEL n={}\\n' | docker build -q -t {} - >/dev/null"
    repository = f"kamal-dev-test/{blog.name}"
    neighbour = Stack(lab, scripts, f"{blog.name}b")
    foreign = "kamal-dev-test/foreign:1"
    lab.sh(make.format(TINY, "foreign", foreign))

    def built(stack: Stack, version: str, **options: Any) -> Release:
        lab.sh(make.format(TINY, version, f"{repository}:{version}"))
        image = Image("", repository, version)
        wanted = stack.version(version, image=image.reference, **options)
        return Release(**{**wanted.__dict__, "images": (("app", image),), "third_party": ()})

    made = [built(blog, "v0")]
    blog.deploy(made[0], keeping=host.Keeping(retain=2))
    shared = built(blog, "v1")
    neighbour.deploy(built(neighbour, "v1"), keeping=host.Keeping(retain=2))
    blog.deploy(shared, keeping=host.Keeping(retain=2))
    lab.sh(f"docker run -d --name {blog.name}-uses --entrypoint /bin/sh {repository}:v1 -c 'sleep 9'")
    for version in ("v2", "v3", "v4"):
        made.append(built(blog, version))
        assert blog.deploy(made[-1], keeping=host.Keeping(retain=2)).outcome.ok
    # While v4 was on its way, v2 was where a rollback would have gone.
    assert list(blog.releases()) == ["v4", "v3", "v2"]
    there = images(lab)
    # Another stack has v1.
    assert {f"{repository}:{tag}" for tag in ("v1", "v2", "v3", "v4")} | {foreign, TINY} <= there
    wait_until_gone(lab, f"{repository}:v0")

    # What failed takes no more room either: the last good one stays, whatever came after it.
    for version in ("v5", "v6"):
        fell = blog.deploy(built(blog, version, command=CRASH), keeping=host.Keeping(retain=2), window=1)
        assert fell.outcome.state == "restored"
    assert list(blog.releases()) == ["v6", "v5", "v4", "v3"], "v3 is where a rollback goes"
    wait_until_gone(lab, f"{repository}:v2")

    # What is left over after all: an image of ours that no release has, and what was cut off.
    lab.sh(make.format(TINY, "stray", f"{repository}:stray"))
    lab.sh(f"mkdir -p ~/.kamal-dev/{blog.name}/releases/.new.99 && docker rm -f {blog.name}-uses")
    assert lab.run(host.remove(scripts, neighbour.name, keep_images=True)).outcome.ok
    volumes = lab.sh("docker volume ls -q")
    look = lab.run(host.prune(scripts, blog.name, (repository,), retain=1, dry_run=True))
    would = {(item.kind, item.name) for item in answers.leftovers(look.output)}
    assert would == {
        ("release", made_id(blog, "v5")),
        ("unfinished", ".new.99"),
        *(("image", f"{repository}:{tag}") for tag in ("stray", "v1", "v5")),
    }, look
    assert f"{repository}:stray" in images(lab)
    agreed = [("unfinished", ".new.99")]
    done = lab.run(host.prune(scripts, blog.name, (repository,), retain=1, dry_run=False, pieces=agreed))
    assert [(item.kind, item.name) for item in answers.leftovers(done.output)] == agreed, done
    would -= {*agreed}
    done = lab.run(host.prune(scripts, blog.name, (repository,), retain=1, dry_run=False))
    assert done.outcome.ok, done
    assert {(item.kind, item.name) for item in answers.leftovers(done.output)} == would
    assert {name for name in images(lab) if name.startswith(f"{repository}:")} == {
        f"{repository}:{tag}" for tag in ("v3", "v4", "v6")
    }
    assert {foreign, TINY} <= images(lab)
    assert lab.sh("docker volume ls -q") == volumes
    assert blog.back(made_id(blog, "v3")).outcome.state == "new"


def test_images_that_have_no_room_are_refused_before_anything_stops_unless_their_layers_are_there(
    blog: Stack, lab: Lab
) -> None:
    assert blog.deploy(blog.version("v1")).outcome.ok
    gone = "localhost:5999/huge:1"
    huge = blog.version("v2", image=gone)
    layer = (f"sha256:{'a' * 64}", 700_000_000_000_000)
    refused = blog.deploy(huge, layers=[layer]).outcome
    assert (refused.ok, refused.state, refused.phase, refused.code) == (False, "untouched", "pull", "disk")
    assert refused.reason.startswith("images need about 2100000.0 GB, and /var/lib/docker has ")
    assert refused.reason.endswith(" free")
    assert refused.images == ()
    held = lab.sh(f"docker image inspect -f '{{{{index .RootFS.Layers 0}}}}' {TINY}")
    tried = blog.deploy(huge, layers=[(held, 700_000_000_000_000)]).outcome
    assert (tried.state, tried.code, [pulled.ok for pulled in tried.images]) == ("untouched", "", [False])
    assert blog.running() == "v1"


def test_a_release_that_falls_is_left_as_it_is_where_that_is_asked_for(blog: Stack) -> None:
    bad, good, worse = blog.version("v1", CRASH), blog.version("v2"), blog.version("v3", CRASH)
    first = blog.deploy(bad, keeping=host.Keeping(keep_failed=True)).outcome
    assert (first.state, first.current) == ("failed", bad.id)
    assert blog.deploy(good, keeping=host.Keeping(keep_failed=True)).outcome.state == "new"
    # There is something to go back to now.
    assert blog.deploy(worse, keeping=host.Keeping(keep_failed=True)).outcome.state == "restored"
    left = blog.deploy(worse, keeping=host.Keeping(restore=False)).outcome
    assert (left.ok, left.state, left.current, left.failed[0].log) == (False, "failed", worse.id, "boom")
    # The last good one is still known, though it is not the one before.
    again = blog.deploy(blog.version("v4", CRASH)).outcome
    assert (again.state, again.current) == ("restored", good.id)


def made_id(stack: Stack, version: str) -> str:
    return stack.releases()[version].id

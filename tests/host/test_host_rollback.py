"""Going back on a real host: which releases there are, what comes back with one, and what is left where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kamal_dev.commands import answers, host
from kamal_dev.model import File, Image, Release
from tests.host.lab import SLEEP, TINY, Answer, Lab, release, service, token

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

    def releases(self) -> dict[str, answers.Kept]:
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
    events = (answers.event(line) for line in answer.output.splitlines())
    return [event.text for event in events if isinstance(event, answers.Log)]


def test_a_stack_goes_back_and_its_releases_say_so(blog: Stack) -> None:
    one, two, bad = blog.version("v1"), blog.version("v2"), blog.version("v3", CRASH)
    for wanted in (one, two):
        assert blog.deploy(wanted, lifecycle=hooks(f"echo {wanted.version}")).outcome.ok
    fell = blog.deploy(bad, lifecycle=hooks("echo v3"))
    # What came back is a new container, so that its own commands are run in it.
    assert (fell.outcome.state, fell.outcome.current, logs(fell)) == ("restored", two.id, ["v2"]), fell
    assert blog.lab.run(host.facts(blog.scripts, blog.name)).facts.runs(two.digest)

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
    assert blog.lab.run(host.facts(blog.scripts, blog.name)).facts.runs(one.digest)
    assert blog.back(one.id).outcome.state == "same"
    audit = blog.lab.sh(f"grep rollback /root/.kamal-dev/{blog.name}/audit.log").splitlines()
    assert [('"by":"bob"' in line, '"state":"new"' in line) for line in audit] == [(True, True), (True, False)]
    kept = blog.releases()
    assert (kept["v1"].is_current, kept["v1"].performer) == (True, "ann")
    assert [item.version for item in kept.values() if item.is_before] == []


def test_a_release_that_does_not_come_up_again_is_put_back(blog: Stack) -> None:
    one, two = blog.version("v1"), blog.version("v2")
    for wanted in (one, two):
        assert blog.deploy(wanted, lifecycle=hooks(f"echo {wanted.version}")).outcome.ok
    blog.lab.sh(f"sed -i 's/sleep/no-such-thing/' /root/.kamal-dev/{blog.name}/releases/{one.id}/compose.yaml")
    answer = blog.back(one.id)
    assert (answer.outcome.ok, answer.outcome.state, answer.outcome.current) == (False, "restored", two.id), answer
    assert answer.outcome.failed[0].reason.startswith("it ended with exit code")
    assert (blog.running(), logs(answer)) == ("v2", ["v2"])
    assert blog.releases()["v1"].good, "it was once"
    unknown = blog.back("v9-00000000").outcome
    assert (unknown.state, unknown.reason) == ("kept", "there is no release `v9-00000000` on this host")


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
    assert (answer.outcome.ok, answer.outcome.state, answer.outcome.phase) == (False, "kept", "pull"), answer
    assert answer.outcome.reason.startswith(f"{gone}: ")
    assert blog.lab.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {blog.name}-app-1") == started
    assert blog.releases()["v2"].is_current


def test_a_tag_that_meant_another_image_meanwhile_means_that_of_the_release_again(blog: Stack) -> None:
    moved = "kamal-dev-test/moved:1"
    make = "printf 'FROM {}\\nLABEL made={}\\n' | docker build -q -t {} -"
    ids = []
    for made in ("one", "two"):
        blog.lab.sh(make.format(TINY, made, moved))
        ids.append(blog.lab.sh(f"docker image inspect -f '{{{{.Id}}}}' {moved}"))
        server, _, tag = moved.rpartition(":")
        wanted = blog.version(made, CRASH if made == "two" else SLEEP, image=moved)
        named = Release(**{**wanted.__dict__, "images": (("app", Image("", server, tag, ids[-1])),), "third_party": ()})
        answer = blog.deploy(named)
    assert answer.outcome.state == "restored"
    assert blog.lab.sh(f"docker inspect -f '{{{{.Image}}}}' {blog.name}-app-1") == ids[0]

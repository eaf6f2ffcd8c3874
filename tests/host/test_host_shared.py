"""A host that many stacks of two projects share: what one of them removes, and what they need together."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from kamal_dev.commands import answers, host, survey
from kamal_dev.model import Image, Release
from tests.host.lab import TINY, Answer, Lab, release, service, token

pytestmark = pytest.mark.real

RETAIN_ONE = host.Keeping(retain=1)
# A registry that accepts connections and never answers.
SILENT = (
    "use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', LocalPort => 5998, "
    "ReuseAddr => 1) or die; open(my $ready, '>', '/tmp/silent'); my @all; push @all, $s->accept while 1;"
)


class Shared:
    """Two projects on one host: `a`, whose stacks run images of one repository, and `b`."""

    def __init__(self, lab: Lab, scripts: Mapping[str, str], name: str) -> None:
        self.lab, self.scripts, self.name = lab, scripts, name
        self.repository = f"kamal-dev-test/{name}-a"

    def image(self, tag: str) -> str:
        """Make a version of the image of project `a`."""
        reference = f"{self.repository}:{tag}"
        made = f"printf 'FROM {TINY}\\nLABEL n={tag}\\n' | docker build -q -t {reference} - >/dev/null"
        self.lab.sh(made)
        return reference

    def release(self, stack: str, tag: str, *, is_built: bool = True) -> Release:
        """Return a release that runs a version of the image, as its own or as somebody else's."""
        reference = f"{self.repository}:{tag}"
        labels = f'{{kamal-dev.main: "true", version: "{tag}"}}'
        text = service(labels=labels).replace(TINY, reference)
        wanted = release(f"{self.name}-{stack}", tag, image=reference, app=text)
        image = Image("", self.repository, tag)
        return Release(**{**wanted.__dict__, "images": (("app", image),), "third_party": ()}) if is_built else wanted

    def deploy(self, wanted: Release) -> Answer:
        step = host.apply(self.scripts, token(), wanted, window=0, timeout=60, keeping=RETAIN_ONE)
        answer = self.lab.run(step)
        assert answer.outcome.ok, answer
        return answer

    def prune(self, stack: str, *, dry_run: bool) -> set[str]:
        step = host.prune(self.scripts, f"{self.name}-{stack}", (self.repository,), retain=1, dry_run=dry_run)
        answer = self.lab.run(step)
        assert answer.outcome.ok, answer
        return {item.name for item in answers.leftovers(answer.output) if item.kind == "image"}

    def tags(self) -> set[str]:
        listed = self.lab.sh(f"docker image ls --format '{{{{.Tag}}}}' {self.repository}")
        return set(listed.split())


@pytest.fixture
def shared(lab: Lab, scripts: Mapping[str, str], stack: str) -> Iterator[Shared]:
    made = Shared(lab, scripts, stack.removesuffix("-1"))
    yield made
    for name in ("a-1", "a-2", "b-1"):
        lab.run(host.remove(scripts, f"{made.name}-{name}"))


def test_what_another_stack_needs_is_never_removed(shared: Shared, lab: Lab, scripts: Mapping[str, str]) -> None:
    for tag in ("v1", "v2", "v3", "v4", "v5", "stray"):
        shared.image(tag)
    # Stopped, with a release to roll back to: it needs v1 and v2.
    for tag in ("v1", "v2"):
        shared.deploy(shared.release("a-2", tag))
    assert lab.run(host.stop(scripts, token(), f"{shared.name}-a-2")).outcome.ok
    lab.sh(f"docker rm --force {shared.name}-a-2-app-1")
    # The stack of another project, whose rollback needs v3.
    for tag in ("v3", "v5"):
        shared.deploy(shared.release("b-1", tag, is_built=False))
    for tag in ("v1", "v2", "v3", "v4", "v5"):
        shared.deploy(shared.release("a-1", tag))
    assert shared.prune("a-1", dry_run=True) == {f"{shared.repository}:stray"}
    assert shared.tags() == {"v1", "v2", "v3", "v4", "v5", "stray"}
    assert shared.prune("a-1", dry_run=False) == {f"{shared.repository}:stray"}
    assert shared.tags() == {"v1", "v2", "v3", "v4", "v5"}

    back = host.rollback(scripts, token(), f"{shared.name}-b-1", shared.release("b-1", "v3").id, window=0)
    assert lab.run(back).outcome.ok, "its rollback release is complete"
    assert lab.run(host.remove(scripts, f"{shared.name}-a-2")).outcome.ok
    assert shared.tags() == {"v3", "v4", "v5"}
    assert shared.prune("a-1", dry_run=False) == set()
    assert lab.sh(f"docker inspect --format '{{{{.State.Running}}}}' {shared.name}-b-1-app-1") == "true"


def test_a_removed_stack_leaves_no_image_that_only_it_needs(
    shared: Shared, lab: Lab, scripts: Mapping[str, str]
) -> None:
    for tag in ("v1", "v2"):
        shared.image(tag)
        shared.deploy(shared.release("a-1", tag))
    shared.deploy(shared.release("a-2", "v2"))
    names = [f"{shared.name}-a-{number}" for number in (1, 2)]
    claims = lab.run(survey.claim(scripts, dict.fromkeys(names, "here")))
    assert survey.claimed(claims.output) == dict.fromkeys(names, "here")
    lab.sh(f"mkdir -p /root/.kamal-dev/.pulling && echo 1:1 >/root/.kamal-dev/.pulling/{names[0]}")

    assert lab.run(host.remove(scripts, names[0])).outcome.removed
    assert shared.tags() == {"v2"}
    assert lab.sh(f"find /root/.kamal-dev -name '{names[0]}*' ! -type d") == ""
    assert lab.run(host.remove(scripts, names[1], keep_volumes=True)).outcome.removed
    assert shared.tags() == {"v2"}, "its workspace is kept, and so is what it needs to come up again"


def test_a_claim_is_given_up(lab: Lab, scripts: Mapping[str, str]) -> None:
    def claim(**hosts: str) -> dict[str, str]:
        return survey.claimed(lab.run(survey.claim(scripts, hosts)).output)

    assert claim(one="first", two="first") == {"one": "first", "two": "first"}
    assert claim(one="second") == {"one": "first"}
    assert claim(one="", three="") == {}
    assert claim(one="second", two="second") == {"one": "second", "two": "first"}
    lab.sh("touch -d '2 hours ago' /root/.kamal-dev/.claims/two")
    assert claim(two="third") == {"two": "third"}
    claim(one="", two="")
    assert lab.sh("ls -A /root/.kamal-dev/.claims") == ""


@contextmanager
def silent_registry(lab: Lab) -> Iterator[str]:
    """Have a registry on the host whose pulls last until the end."""
    lab.sh(f"cat >/tmp/silent.pl <<'END'\n{SILENT}\nEND\nrm -f /tmp/silent")
    lab.sh("setsid perl /tmp/silent.pl </dev/null >/dev/null 2>&1 & echo $! >/tmp/silent.pid")
    lab.sh("until [ -f /tmp/silent ]; do sleep 0.1; done")
    yield "localhost:5998"
    lab.sh("kill $(cat /tmp/silent.pid)")


def test_stacks_that_are_deployed_at_the_same_time_must_fit_together(
    shared: Shared, lab: Lab, scripts: Mapping[str, str]
) -> None:
    free = int(lab.sh("df -Pk /var/lib/docker | awk 'NR == 2 { print $4 }'")) * 1024
    # Unpacked, each layer needs three times its size: one of these fits, and two do not.
    first, second = (("sha256:" + letter * 64, free // 5) for letter in "ab")

    def pulling(stack: str, *layers: tuple[str, int]) -> Answer:
        image = f"{server}/{stack}:1"
        wanted = release(f"{shared.name}-{stack}", "v1", image=image, app=service().replace(TINY, image))
        return lab.run(host.apply(scripts, token(), wanted, window=0, layers=layers))

    with silent_registry(lab) as server:
        ended: list[Answer] = []
        slow = threading.Thread(target=lambda: ended.append(pulling("a-1", first)))
        slow.start()
        lab.sh(f"until [ -s ~/.kamal-dev/.pulling/{shared.name}-a-1 ]; do sleep 0.1; done")
        refused = pulling("b-1", second).outcome
        assert (refused.state, refused.code) == ("untouched", "disk"), refused
        assert ", with those of other stacks that are being deployed, and /var/lib/docker has " in refused.reason
        both = threading.Thread(target=lambda: ended.append(pulling("b-1", first)))
        both.start()
        lab.sh(f"until [ -s ~/.kamal-dev/.pulling/{shared.name}-b-1 ]; do sleep 0.1; done")
    for thread in (slow, both):
        thread.join(120)
    assert [answer.outcome.code for answer in ended] == ["", ""], "a layer that both need is counted once"
    assert lab.sh("ls ~/.kamal-dev/.pulling") == ""

"""What hosts say, read into values, whatever else is on the line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kamal_dev.commands import answers, events
from kamal_dev.commands.facts import CurrentRelease, Facts, Lock, numbers_of
from kamal_dev.model import Container, Image, ImageConfig

FACTS = {
    "type": "facts",
    "user": "dev",
    "privilege": "sudo",
    "compose": "2.26.1-4",
    "daemon": True,
    "release": {"id": "v1-aa", "digest": "aa", "version": "v1", "good": True},
    "intact": True,
    "lock": {"pid": 7, "since": "2026-01-01T00:00:00Z", "word": "apply", "token": "t1"},
    "news": "a field of a later version",
}
APP = {"type": "container", "service": "app", "name": "b-1-app-1", "image": "x", "state": "running", "release": "v1"}
FELL = APP | {"state": "exited", "exit_code": 3, "release": "v2", "reason": "it ended", "log": "boom\nbang"}


def lines(*objects: object) -> str:
    return "".join(json.dumps(item) + "\n" for item in objects)


def test_facts_come_with_release_lock_and_containers() -> None:
    facts = answers.facts(lines(FACTS, APP))
    assert facts
    assert facts.release == CurrentRelease("v1-aa", "aa", "v1", good=True)
    assert facts.lock == Lock(7, "2026-01-01T00:00:00Z", "apply", "t1")
    assert facts.containers == (Container("app", "b-1-app-1", "x", "running"),)
    assert facts.is_ready


def test_a_host_without_docker_or_with_an_old_compose_is_not_ready() -> None:
    for change in ({"daemon": False}, {"compose": ""}, {"compose": "2.24.3"}, {"compose": "v2.6.0"}):
        facts = answers.facts(lines(FACTS | change))
        assert facts
        assert not facts.is_ready
    assert Facts(daemon=True, compose="v2.24.4").is_ready
    assert Facts(daemon=True, compose="5.5").is_ready


def test_a_host_has_an_image_when_it_has_its_digest_whatever_the_tag() -> None:
    image = Image("ghcr.io", "acme/blog-dev", "abc", "sha256:11")
    names = ["sha256:22", image.reference, "ghcr.io/acme/blog-dev@sha256:11"]
    held = {"names": names, "metadata": "[]", "entrypoint": None}
    facts = answers.facts(lines(FACTS | {"images": [held]}))
    assert facts
    assert facts.images[0].config == ImageConfig("[]")
    assert facts.has(image)
    assert facts.has(replace(image, tag="other"))
    assert not facts.has(replace(image, digest="sha256:33"))
    assert not facts.has(replace(image, repository="acme/other"))
    # One that travelled over SSH has a tag that is made of its content.
    assert facts.has(replace(image, digest=""))
    assert not facts.has(replace(image, digest="", tag="other"))


@pytest.mark.parametrize(
    "name",
    [
        *("redis", "redis:latest", "docker.io/library/redis", "index.docker.io/library/redis:latest"),
        *("redis@sha256:1", "redis:7@sha256:1", "sha256:9"),
    ],
)
def test_an_image_is_held_by_every_name_that_users_have_for_it(name: str) -> None:
    facts = answers.facts(lines(FACTS | {"images": [{"names": ["sha256:9", "redis:latest", "redis@sha256:1"]}]}))
    assert facts
    assert facts.held(name)
    assert facts.held("redis:7") is None
    assert facts.held("redis@sha256:2") is None


def test_what_is_no_event_is_passed_over() -> None:
    noise = "Welcome to Debian\r\n\x1b[1mbold\x1b[0m\n{broken\n{}\n[1]\n" + '{"type":"unknown"}\n{"type":["x"]}\n'
    deep = '{"type":' + "[" * 100_000 + "\n"
    facts = answers.facts(noise + deep + lines(FACTS) + "\ufffd\ufffd\n\n")
    assert facts
    assert facts.user == "dev"
    assert answers.count(noise + lines(FACTS)) == 1
    assert answers.facts(noise) is None


def test_control_characters_do_not_reach_the_terminal() -> None:
    log = "\x1b[31mred\x1b[0m\x1b]0;title\x07 \x07bell\r\n\ttab\x9b"
    outcome = answers.outcome(lines(FELL | {"log": log}))
    assert outcome.failed[0].log == "red bell\n\ttab"


def test_an_outcome_tells_what_failed_and_what_runs_now() -> None:
    restored = APP | {"release": "v1"}
    result = {"type": "result", "ok": False, "state": "restored", "phase": "observe", "reason": "app did not stay up"}
    told = lines(
        {"type": "phase", "name": "up"},
        {"type": "phase", "name": "up", "seconds": 1.5},
        {"type": "image", "image": "x", "ok": True, "seconds": 2.0},
        {"type": "beat"},
        {"type": "log", "text": "so"},
        FELL,
        restored,
        restored | {"state": "running", "health": "healthy"},
        result | {"release": "v2", "previous": "v1", "current": "v1", "restored": True, "observed_ms": 1200},
    )
    outcome = answers.outcome(told)
    assert not outcome
    assert (outcome.state, outcome.current, outcome.restored, outcome.observed_ms) == ("restored", "v1", True, 1200)
    assert outcome.failed == (
        Container("app", "b-1-app-1", "x", "exited", exit_code=3, reason="it ended", log="boom\nbang"),
    )
    assert outcome.containers == (Container("app", "b-1-app-1", "x", "running", "healthy"),)
    assert outcome.images == (events.Pulled("x", ok=True, seconds=2.0),)
    assert outcome.phases == (events.Phase("up", 1.5),)


def test_no_answer_is_an_unknown_outcome() -> None:
    outcome = answers.outcome("Connection closed\n")
    assert not outcome
    assert outcome.state == "unknown"
    assert outcome.reason == "the host gave no answer"


def test_lines_are_read_as_they_come() -> None:
    assert answers.event('{"type":"phase","name":"pull"}') == events.Phase("pull")
    assert answers.event('{"type":"log","text":"Waiting"}') == events.Log("Waiting")
    assert answers.event('{"type":"beat"}') == events.Heartbeat()
    assert answers.event('{"type":"result","ok":true,"kept":["volumes"]}') == events.ScriptResult(
        ok=True, kept=("volumes",)
    )
    assert isinstance(answers.event(json.dumps(APP)), Container)
    assert answers.event("Warning: something") is None


def test_a_line_that_lacks_what_it_must_have_is_no_event() -> None:
    assert answers.event('{"type":"container"}') is None
    assert answers.event('{"type":"phase"}') is None
    assert answers.outcome('{"type":"container"}\n').state == "unknown"
    assert answers.count('{"type":"container"}\n') == 0


def test_stacks_have_their_own_containers() -> None:
    told = lines(
        {"type": "stack", "stack": "a-1", "release": None, "lock": None},
        APP | {"stack": "a-1", "name": "a"},
        {"type": "stack", "stack": "b-1", "release": {"id": "v1"}},
        APP | {"stack": "b-1", "name": "b"},
    )
    first, second = answers.stacks(told)
    assert (first.stack, first.release, [item.name for item in first.containers]) == ("a-1", None, ["a"])
    assert (second.stack, second.release, [item.name for item in second.containers]) == (
        "b-1",
        CurrentRelease("v1"),
        ["b"],
    )


def test_versions_are_compared_by_their_numbers() -> None:
    assert numbers_of("2.26.1-4") == (2, 26, 1)
    assert numbers_of("v5.5.0") > numbers_of("2.24.4")
    assert numbers_of("") == ()


def test_a_container_whose_image_has_no_label_has_a_place() -> None:
    told = {"type": "place", "id": "1", "name": "a", "image": "x", "state": "running"}
    place = answers.place(lines({**told, "environment": None, "metadata": None}))
    assert place
    assert (place.environment, place.metadata) == ((), "")

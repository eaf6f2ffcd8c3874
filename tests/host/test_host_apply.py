"""Releases on a real host: what stands, what falls, and what runs afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kamal_dev.commands import events, host
from kamal_dev.commands.facts import CurrentRelease
from kamal_dev.model import File, Release, Step
from tests.host.lab import SLEEP, TINY, Answer, Lab, is_running, release, service, token

pytestmark = pytest.mark.real

HEALTHY = '{test: ["CMD", "/bin/busybox", "true"], interval: 1s}'
UNHEALTHY = '{test: ["CMD", "/bin/busybox", "false"], interval: 1s, retries: 2}'
MAIN = '{kamal-dev.main: "true"}'
CRASH = '["/bin/sh", "-c", "echo boom >&2; exit 3"]'


def apply(lab: Lab, scripts: Mapping[str, str], wanted: Release, user: str = "root", **options: Any) -> Answer:
    options = {"window": 1, "timeout": 60} | options
    return lab.run(host.apply(scripts, token(), wanted, **options), user=user)


def started(outcome: events.ScriptResult) -> dict[str, str]:
    return {container.service: container.started for container in outcome.containers}


def test_a_release_becomes_current_and_its_containers_are_reported(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    db = service(healthcheck=HEALTHY)
    once = service('["/bin/busybox", "true"]')
    wanted = release(stack, "v1", app=service(labels=MAIN), db=db, once=once, files=(File("x/conf", b"1", 0o644),))
    answer = apply(lab, scripts, wanted, workspace=("blog", "blog/sub"), performer="ann <ann@example.org>")
    outcome = answer.outcome
    assert (answer.code, outcome.ok, outcome.state, outcome.reason) == (0, True, "new", ""), answer
    assert (outcome.release, outcome.version, outcome.previous, outcome.current) == (wanted.id, "v1", "", wanted.id)
    assert {c.service: (c.state, c.health, c.exit_code) for c in outcome.containers} == {
        "app": ("up", "", 0),
        "db": ("up", "healthy", 0),
        "once": ("completed", "", 0),
    }
    assert [phase.name for phase in outcome.phases] == ["upload", "pull", "up", "observe"]
    home = f"/root/.kamal-dev/{stack}"
    assert lab.sh(f"cd {home}/current && docker compose ps --services | sort") == "app\ndb"
    modes = "%a ~/.kamal-dev/S ~/.kamal-dev/S/current/ ~/.kamal-dev/S/current/.env ~/.kamal-dev/S/current/x/conf"
    assert lab.sh(
        f"stat -c {modes} ~/.kamal-dev/S/workspace/blog".replace("S/", f"{stack}/").replace("S ", f"{stack} ")
    ) == ("700\n700\n600\n644\n755")
    assert '"by":"ann <ann@example.org>"' in lab.sh(f"cat {home}/audit.log")
    assert '"ok":true' in lab.sh(f"cat {home}/current/.kamal-dev/result")
    assert lab.sh(f"ls -A {home}") == "audit.log\nbaseline\ncurrent\nreleases\nrunning\nworkspace"


def test_an_unchanged_release_touches_nothing(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    wanted = release(stack, "v1", app=service())
    first = apply(lab, scripts, wanted).outcome
    facts = lab.run(host.facts(scripts, stack)).facts
    assert is_running(facts, wanted)
    assert facts.release == CurrentRelease(wanted.id, wanted.digest, "v1", good=True)
    again = apply(lab, scripts, wanted)
    assert (again.code, again.outcome.state) == (0, "same")
    assert started(again.outcome) == started(first)


def test_a_container_stopped_by_hand_is_not_the_same_and_is_started_again(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    wanted = release(stack, "v1", app=service())
    apply(lab, scripts, wanted)
    lab.sh(f"docker stop --time 1 {stack}-app-1")
    assert not lab.run(host.facts(scripts, stack)).facts.intact
    assert apply(lab, scripts, wanted).outcome.state == "new"
    assert lab.run(host.facts(scripts, stack)).facts.intact


def test_a_new_version_recreates_what_changed_and_removes_what_is_gone(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    shared = File("conf", b"1")
    db = service(volumes='["./conf:/conf:ro"]')
    first = apply(lab, scripts, release(stack, "v1", app=service(), db=db, old=service(), files=(shared,))).outcome
    second = apply(lab, scripts, release(stack, "v2", app=service(labels=MAIN), db=db, files=(shared,))).outcome
    assert second.ok, second
    assert sorted(started(second)) == ["app", "db"]
    assert started(second)["app"] != started(first)["app"]
    # The bind is the same path in every release, because compose runs in `current`.
    assert started(second)["db"] == started(first)["db"]


def test_a_crash_loop_without_a_health_check_fails_and_the_release_before_is_put_back(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    good = release(stack, "v1", app=service())
    bad = release(stack, "v2", app=service(CRASH, restart="always"))
    apply(lab, scripts, good)
    answer = apply(lab, scripts, bad)
    outcome = answer.outcome
    assert (answer.code, outcome.ok, outcome.state, outcome.restored) == (1, False, "restored", True), answer
    assert (outcome.release, outcome.current, outcome.phase) == (bad.id, good.id, "observe")
    assert outcome.reason == "app did not stay up"
    (failed,) = outcome.failed
    assert failed.exit_code == 3
    assert failed.reason.startswith("crash loop: restarted")
    assert failed.log.splitlines()[-1] == "boom"
    assert [(container.service, container.state) for container in outcome.containers] == [("app", "up")]
    assert lab.run(host.facts(scripts, stack)).facts.intact
    assert lab.sh(f"docker inspect -f '{{{{.Config.Cmd}}}}' {stack}-app-1") == "[/bin/busybox sleep 1000000]"


def test_a_service_that_ends_with_an_error_fails_with_its_exit_code_and_log(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    outcome = apply(lab, scripts, release(stack, "v1", app=service(CRASH), db=service())).outcome
    (failed,) = outcome.failed
    assert (failed.service, failed.state, failed.exit_code, failed.log) == ("app", "exited 3", 3, "boom")
    assert failed.reason == "exited with code 3"


def test_a_first_release_that_fails_is_stopped_and_kept_and_the_next_is_new(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    bad = release(stack, "v1", app=service(CRASH, restart="always"), db=service())
    outcome = apply(lab, scripts, bad).outcome
    assert (outcome.ok, outcome.state, outcome.current, outcome.previous) == (False, "stopped", bad.id, "")
    assert all(container.state.startswith("exited ") for container in outcome.containers)
    assert lab.sh(f"docker ps --all --quiet --filter label=com.docker.compose.project={stack} | wc -l") == "2"
    assert lab.sh(f"ls /root/.kamal-dev/{stack}/current/compose.yaml")
    second = apply(lab, scripts, release(stack, "v2", app=service(), db=service())).outcome
    assert (second.state, second.previous) == ("new", "")


def test_the_last_words_are_those_of_this_change_from_all_its_restarts(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    words = '["/bin/sh", "-c", "/bin/busybox cat /proc/sys/kernel/random/uuid; exit 3"]'
    crash, loop = (release(stack, "v1", app=service(words, **keys)) for keys in ({}, {"restart": "always"}))
    told = []
    for wanted in (crash, crash, loop, loop):
        (failed,) = apply(lab, scripts, wanted).outcome.failed
        told.append(failed.log.splitlines())
    # Deployed again, the container that was kept is the same, and has all its words.
    assert [len(lines) for lines in told[:2]] == [1, 1]
    assert all(len(lines) > 1 for lines in told[2:])
    lines = [line for part in told for line in part]
    assert len(set(lines)) == len(lines), told


def test_the_last_words_of_a_service_that_ran_before_the_change_are_kept(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    check = '{test: ["CMD", "/bin/busybox", "test", "!", "-e", "/ill"], interval: 1s, retries: 2}'
    db = service('["/bin/sh", "-c", "echo words; exec /bin/busybox sleep 1000000"]', healthcheck=check)
    assert apply(lab, scripts, release(stack, "v1", app=service(), db=db)).outcome.ok
    ill = f"docker exec {stack}-db-1 /bin/busybox touch /ill"
    lab.sh(f"{ill}; until docker ps | grep {stack}-db-1 | grep -q unhealthy; do sleep 0.2; done")
    outcome = apply(lab, scripts, release(stack, "v2", app=service(labels=MAIN), db=db)).outcome
    assert {(failed.service, failed.log) for failed in outcome.failed} == {("db", "words")}, outcome


def test_a_service_that_crashes_once_and_then_stays_is_fine(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    command = '["/bin/sh", "-c", "[ -f /data/x ] && exec /bin/busybox sleep 10000; : >/data/x; exit 1"]'
    app = service(command, restart="always", volumes="[data:/data]")
    outcome = apply(lab, scripts, release(stack, "v1", app=app, extra="volumes: {data: {}}\n")).outcome
    assert outcome.ok, outcome
    assert outcome.containers[0].restarts == 1
    assert outcome.observed_ms > 0


def test_a_main_service_that_ends_at_once_fails_though_its_exit_code_is_0(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    outcome = apply(lab, scripts, release(stack, "v1", app=service('["/bin/busybox", "true"]', labels=MAIN))).outcome
    assert not outcome.ok
    assert "nothing keeps the main service running" in outcome.failed[0].reason


def test_an_unhealthy_service_fails(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    apply(lab, scripts, release(stack, "v1", app=service(), db=service(healthcheck=HEALTHY)))
    outcome = apply(lab, scripts, release(stack, "v2", app=service(), db=service(healthcheck=UNHEALTHY))).outcome
    assert (outcome.state, outcome.reason) == ("restored", "db did not stay up")
    assert [(c.service, c.health, c.reason) for c in outcome.failed] == [("db", "unhealthy", "its health check fails")]


def test_a_service_that_is_never_healthy_fails_at_the_deadline(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    slow = '{test: ["CMD", "/bin/busybox", "false"], interval: 1s, start_period: 600s}'
    answer = apply(lab, scripts, release(stack, "v1", app=service(healthcheck=slow)), timeout=4)
    assert answer.outcome.failed[0].reason == "its health check has not passed yet"
    assert 3 < answer.seconds < 20


def test_a_container_that_runs_out_of_memory_says_so(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    greedy = service('["/bin/sh", "-c", "x=xxxxxxxx; while :; do x=$$x$$x; done"]', mem_limit="16m")
    outcome = apply(lab, scripts, release(stack, "v1", app=greedy), timeout=20).outcome
    assert outcome.failed[0].reason.startswith("out of memory: exited with code")


def test_a_port_that_is_taken_is_named_and_the_release_before_is_put_back(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    apply(lab, scripts, release(stack, "v1", app=service()))
    outcome = apply(lab, scripts, release(stack, "v2", app=service(ports='["127.0.0.1:22:22"]'))).outcome
    assert (outcome.state, outcome.phase) == ("restored", "up")
    assert outcome.reason == "port 22 is in use by a process outside containers (`sshd`)"
    assert "address already in use" in outcome.failed[0].reason


def test_an_image_that_does_not_arrive_leaves_all_as_it_was(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    first = apply(lab, scripts, release(stack, "v1", app=service())).outcome
    gone = "localhost:5999/gone:1"
    wanted = release(stack, "v2", app=service().replace(TINY, gone), image=gone)
    answer = apply(lab, scripts, wanted)
    outcome = answer.outcome
    assert (answer.code, outcome.state, outcome.phase) == (1, "untouched", "pull")
    assert outcome.reason.startswith("could not pull images: localhost:5999/gone:1: ")
    assert [(pulled.image, pulled.ok) for pulled in outcome.images] == [(gone, False)]
    assert outcome.current == first.release
    assert lab.run(host.facts(scripts, stack)).facts.intact


def test_only_the_services_asked_for_are_started(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    wanted = release(stack, "v1", app=service(depends_on="[db]"), db=service(), other=service())
    outcome = apply(lab, scripts, wanted, services=("app",)).outcome
    assert sorted(started(outcome)) == ["app", "db"]


def test_a_release_before_that_cannot_come_back_is_reported_as_broken(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    good = release(stack, "v1", app=service())
    apply(lab, scripts, good)
    lab.sh(f"rm /root/.kamal-dev/{stack}/releases/{good.id}/compose.yaml")
    outcome = apply(lab, scripts, release(stack, "v2", app=service(CRASH))).outcome
    assert (outcome.ok, outcome.state, outcome.restored) == (False, "rollback_failed", False)
    assert "app did not stay up; the rollback to" in outcome.reason


def test_a_foreign_project_of_the_same_name_is_left_alone(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    lab.sh(
        f"mkdir -p /srv/{stack} && cd /srv/{stack} && "
        f"printf 'services: {{a: {{image: {TINY}, command: [/bin/busybox, sleep, \"9999\"]}}}}' >compose.yaml && "
        f"docker compose -p {stack} up -d 2>/dev/null"
    )
    answer = apply(lab, scripts, release(stack, "v1", app=service()))
    assert (answer.code, answer.outcome.state, answer.outcome.phase) == (1, "untouched", "foreign")
    assert f"from /srv/{stack}" in answer.outcome.reason
    removal = lab.run(host.remove(scripts, stack)).outcome
    assert (removal.ok, removal.phase) == (False, "foreign")
    assert lab.sh(f"docker inspect -f '{{{{.State.Status}}}}' {stack}-a-1") == "running"
    lab.sh(f"docker rm -f {stack}-a-1; docker network rm {stack}_default; rm -r /srv/{stack}")


def test_the_last_five_releases_are_kept(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    made = [release(stack, f"v{index}", app=service(labels=f'{{n: "{index}"}}')) for index in range(7)]
    for wanted in made:
        assert apply(lab, scripts, wanted, window=0).outcome.ok
    assert sorted(lab.sh(f"ls /root/.kamal-dev/{stack}/releases").split()) == [wanted.id for wanted in made[2:]]


def test_a_user_with_sudo_alone_deploys_into_his_own_home(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    lab.sh("gpasswd --delete dev docker")
    try:
        wanted = release(stack, "v1", app=service(volumes='["~/.kamal-dev:/home-of-dev:ro"]'))
        outcome = apply(lab, scripts, wanted, user="dev").outcome
        assert outcome.state == "new", outcome
        assert lab.run(host.facts(scripts, stack), user="dev").facts.intact
        mounts = lab.sh(f"docker inspect -f '{{{{json .Mounts}}}}' {stack}-app-1")
        assert '"Source":"/home/dev/.kamal-dev"' in mounts
    finally:
        lab.sh("gpasswd --add dev docker")


def test_variables_of_the_host_do_not_beat_the_release(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    wanted = release(stack, "v1", app=service(environment="{NAME: '${USER:-none}'}"))
    step = host.apply(scripts, token(), wanted, window=0)
    poison = ("env", "COMPOSE_PROJECT_NAME=evil", "COMPOSE_FILE=/nowhere", "USER=poison", "COMPOSE_PROFILES=x")
    outcome = lab.run(Step((*poison, *step.argv), stdin=step.stdin)).outcome
    assert outcome.ok, outcome
    assert "NAME=none" in lab.sh(f"docker inspect -f '{{{{.Config.Env}}}}' {stack}-app-1")


def test_a_container_of_compose_run_is_no_part_of_the_stack(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    wanted = release(stack, "v1", app=service(), tool=service(SLEEP, profiles="[tools]"))
    apply(lab, scripts, wanted)
    lab.sh(f"cd /root/.kamal-dev/{stack}/current && docker compose run -d tool /bin/sh -c 'exit 9' 2>/dev/null")
    facts = lab.run(host.facts(scripts, stack)).facts
    assert facts.intact
    assert [container.service for container in facts.containers] == ["app"]

"""What the power or other people left on a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from kamal_dev.commands import host
from kamal_dev.commands.events import ScriptResult
from kamal_dev.plan.admission import foreign_project
from tests.host.lab import TINY, Lab, release, service, token

pytestmark = pytest.mark.real


def test_a_release_whose_marks_the_power_took_is_written_again(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    one = release(stack, "v1", app=service())
    assert lab.run(host.apply(scripts, token(), one, timeout=30, window=0.1)).outcome.state == "new"
    about = f"~/.kamal-dev/{stack}/releases/{one.id}/.kamal-dev"
    for lost in ("digest", "good", "digest good result version images services"):
        lab.sh(f"cd {about} && for each in {lost}; do : >$each; done")
        assert lab.run(host.facts(scripts, stack)).facts.release
        again = lab.run(host.apply(scripts, token(), one, timeout=30, window=0.1)).outcome
        assert again.ok, again
        assert lab.sh(f"cat {about}/digest") == one.digest
        assert lab.run(host.apply(scripts, token(), one, timeout=30, window=0.1)).outcome.state == "same"
    assert lab.sh(f"ls -A ~/.kamal-dev/{stack}/releases") == one.id


@pytest.fixture
def foreign(lab: Lab, stack: str) -> Iterator[str]:
    """A compose project of the stack's name that somebody else runs."""
    text = f"services:\n  app:\n{service()}"
    compose = f"cd /srv/theirs && docker compose --project-name {stack}"
    lab.sh(f"mkdir -p /srv/theirs && cat >/srv/theirs/compose.yaml <<'END'\n{text}END\n{compose} up --detach")
    yield stack
    lab.sh(f"{compose} down --timeout 0; rm -rf /srv/theirs")


def test_a_stack_that_somebody_else_runs_is_told_before_anything_is_sent(
    lab: Lab, scripts: Mapping[str, str], foreign: str
) -> None:
    facts = lab.run(host.facts(scripts, foreign, (TINY,)), user="dev").facts
    assert facts.foreign == "/srv/theirs"
    error = foreign_project("x", foreign, facts)
    assert error
    assert error.message == f"another compose project named `{foreign}` runs on the host, from /srv/theirs"
    assert lab.sh(f"ls -d ~/.kamal-dev/{foreign} 2>&1 || true", user="dev").endswith("No such file or directory")


def test_a_container_that_got_something_else_than_the_workspace_is_stopped(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    home = f"/root/.kamal-dev/{stack}"
    labels = f"--label com.docker.compose.project={stack} --label com.docker.compose.oneoff=False"
    lab.sh(f"mkdir -p {home}/workspace/good && ln -s /usr/share '{home}/workspace/a link' && mkdir -p /tmp/strays")
    for name in ("lib.sh", "engine.sh", "engine_tasks.sh", "stack.sh", "mounts.sh"):
        lab.sh(f"cat >/tmp/strays/{name} <<'END-OF-SCRIPT'\n{scripts[name]}\nEND-OF-SCRIPT")
    for name, folder in (("bad", "a link"), ("fine", "good")):
        own = f"--label com.docker.compose.service={name} --volume '{home}/workspace/{folder}:/the folder'"
        lab.sh(f"docker run --detach --init {labels} {own} {TINY} /bin/busybox sleep 300")
    script = "here=/tmp/strays; for each in lib stack mounts; do . $here/$each.sh; done"
    assert lab.sh(f'{script}; use_stack {stack}; look_at_stack; stop_strays || echo "$strays"') == "bad"
    running = f"docker ps --filter label=com.docker.compose.project={stack} --format '{{{{.Image}}}}'"
    lab.sh(f'until [ "$({running} | wc -l)" = 1 ]; do sleep 0.1; done')
    lab.sh(
        f"docker rm --force $(docker ps --all --quiet --filter label=com.docker.compose.project={stack}); rm -rf {home}"
    )


def test_a_release_does_not_start_on_a_link_out_of_the_workspace(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    lab.sh(f"mkdir -p ~/.kamal-dev/{stack}/workspace && ln -s /etc ~/.kamal-dev/{stack}/workspace/blog", user="dev")
    one = release(stack, "v1", app=service())
    folders = ("blog", "blog/kamal-dev-was-here")

    def apply() -> ScriptResult:
        step = host.apply(scripts, token(), one, timeout=30, window=0.1, workspace=folders)
        return lab.run(step, user="dev").outcome

    refused = apply()
    assert (refused.ok, refused.state) == (False, "untouched"), refused
    assert "`blog` is a symbolic link out of the workspace" in refused.reason
    assert lab.sh("ls /etc | grep -c kamal-dev-was-here || true") == "0"
    lab.sh(f"cd ~/.kamal-dev/{stack}/workspace && rm blog && mkdir real && ln -s real blog", user="dev")
    assert apply().state == "new"

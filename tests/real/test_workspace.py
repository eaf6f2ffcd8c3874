"""A workspace on a real host, as the person in the container meets it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.real.lab import Host, Lab, Repository, run

DEVCONTAINER = '{"dockerComposeFile": "compose.yaml", "service": "app", "remoteUser": "dev"}\n'
COMPOSE = 'services:\n  app:\n    build: .\n    volumes: ["..:/src/place"]\n'
DOCKERFILE = """\
FROM debian:12
RUN apt-get update && apt-get install -y --no-install-recommends git && useradd --create-home --uid 1234 dev
STOPSIGNAL SIGKILL
CMD ["sleep", "infinity"]
"""


@dataclass(frozen=True)
class Place:
    """A stack on a host that was made for it."""

    repository: Repository
    host: Host

    def within(self, command: str) -> str:
        """Run a shell command in the workspace, as the person who works there."""
        stack = self.repository.stack()
        words = f"cd ~/.kamal-dev/{stack}/current && docker compose exec -T --user dev --workdir /src/place app sh -c"
        return self.host.run(f"{words} '{command}'").strip()

    def verbs(self, *words: str) -> tuple[list[str], str]:
        """Run `dev`; return the first words of what it ran on the host, and all that it said."""
        ended = self.repository.dev(*words, "--verbose")
        return [step.split()[0] for step in ended.steps(self.repository.stack())], ended.text


@pytest.fixture(scope="module")
def place(lab: Lab) -> Place:
    repository = lab.small("place", [], {".devcontainer/Dockerfile": DOCKERFILE}, compose=COMPOSE)
    repository.commit(
        {
            "config/dev.yml": lab.made_hosts(repository),
            ".devcontainer/devcontainer.json": DEVCONTAINER,
            "a.txt": "one\n",
        }
    )
    run("git", "config", "user.name", "Ann", cwd=repository.root)
    run("git", "config", "user.email", "ann@example.org", cwd=repository.root)
    run("git", "remote", "add", "origin", "https://ann:token@example.org/place.git", cwd=repository.root)
    repository.write({"not committed.txt": "mine\n"})
    repository.dev("deploy", "--yes", timeout=600)
    (host,) = lab.hosts(repository)
    return Place(repository, host)


def test_the_person_in_the_container_finds_a_clone_to_work_in(place: Place) -> None:
    assert place.within("git status --short") == '?? "not committed.txt"'
    assert place.within("git log -1 --format=%H") == place.repository.sha
    assert place.within("git remote get-url origin") == "https://example.org/place.git"
    assert place.within("find . ! -user dev") == ""
    assert "token" not in place.host.run("cat ~/.kamal-dev/*/workspace/*/.git/config")


def test_a_second_deploy_asks_once_and_a_new_version_needs_three_steps(place: Place) -> None:
    assert place.verbs("deploy")[0] == ["facts"]
    place.repository.commit({"a.txt": "two\n"})
    place.repository.write({"a.txt": "three\n"})
    verbs, said = place.verbs("deploy")
    assert verbs == ["facts", "workspace", "apply"]
    assert "Sent the source" in said
    assert place.within("git log -1 --format=%H") == place.repository.sha
    assert place.within("git status --short") == "M a.txt"
    assert place.within("find . ! -user dev") == ""
    assert place.verbs("deploy")[0] == ["facts"]


def test_work_done_there_survives_comes_back_and_is_kept_by_force(place: Place) -> None:
    repository = place.repository
    place.verbs("sync", repository.stack())
    place.within(
        "echo there >there.txt && git add there.txt && git commit --quiet --message There && echo new >new.txt"
    )
    repository.commit({"b.txt": "here\n"})
    verbs, said = place.verbs("deploy")
    assert verbs == ["facts", "workspace", "apply"]
    assert "; not updated: " in said and f"dev sync {repository.stack()} --force" in said
    assert place.within("cat there.txt new.txt && git log -1 --format=%s") == "there\nnew\nThere"
    assert place.within("git log -1 --format=%H kamal-dev/main") == repository.sha

    pulled = repository.dev("pull", repository.stack(), "--json").json["branches"][0]
    assert run("git", "show", f"{pulled['branch']}:new.txt", cwd=repository.root) == "new\n"
    assert run("git", "status", "--short", cwd=repository.root) == ""

    _, said = place.verbs("sync", repository.stack(), "--force", "--yes")
    backup = re.search(r"Kept the previous files in `(kamal-dev/backup-[^`]*)`", said)
    assert backup
    assert place.within("ls; git status --short") == "a.txt\nb.txt\nconfig\nnot committed.txt"
    assert place.within(f"git show {backup[1]}:new.txt") == "new"
    assert place.within("find . ! -user dev") == ""

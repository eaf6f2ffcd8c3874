"""A named stack has the devcontainer, the names of secrets and the source of its reference, on the hosts from here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.commands import survey as surveys
from kamal_dev.commands.host import question
from kamal_dev.errors import UsageError
from kamal_dev.model import Host, Result, Step
from kamal_dev.output import Output
from kamal_dev.output.event import Event
from kamal_dev.pipeline.hosts.rendering import render_release
from kamal_dev.pipeline.list import lines
from kamal_dev.pipeline.named import NamedStacks, SourceChoice
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.hooks import runnable
from kamal_dev.pipeline.run.names import matching, restrict, select
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.shared_hosts import SurveyedHosts
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.plan.placement import HostContents
from kamal_dev.project.state import CachedHost, State, update
from tests.hosts import scripts
from tests.workspace.lab import Home, git, write

HOSTS = "provider:\n  type: static\n  hosts: [10.0.0.1, 10.0.0.2]\n"
DEVCONTAINER = '{"dockerComposeFile": "compose.yml", "service": "app"}'
COMPOSE = "services:\n  app: {image: 'debian:12', command: sleep infinity}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose branch `feature/x` has another service, another secret and another idea of who has hosts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    root = tmp_path / "blog"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    write(
        root,
        {
            "config/dev.yml": f"service: blog\nsecrets: [OLD]\n{HOSTS}",
            ".devcontainer/devcontainer.json": DEVCONTAINER,
            ".devcontainer/compose.yml": COMPOSE,
            ".gitignore": ".kamal/secrets\n",
        },
    )
    commit(root)
    git(root, "switch", "--quiet", "--create", "feature/x")
    write(
        root,
        {
            "config/dev.yml": "service: other\nsecrets: [NEW]\nssh: {user: eve}\nprovider: {type: docker}\n",
            ".devcontainer/compose.yml": f"{COMPOSE}  cache: {{image: 'redis:7'}}\n",
            ".kamal/hooks/pre-deploy": "#!/bin/sh\n",
            ".kamal/secrets": "NEW=theirs\n",
        },
    )
    git(root, "add", "--force", ".kamal")
    commit(root)
    git(root, "switch", "--quiet", "main")
    write(root, {".kamal/secrets": "OLD=old\nNEW=ours\n"})
    return root


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Change")


class Remote:
    """Answers for the hosts: `refs` are the references of the stacks that have a release."""

    def __init__(self, refs: Mapping[str, str]) -> None:
        self.refs = refs

    def run(self, step: Step, **_: Any) -> Result:
        words = step.label.split()[1:] if step.label else []
        lines = [
            {"type": "stack", "stack": name, "state": "up", "release": {"id": "v1-1", "version": "v1", "ref": ref}}
            for name, ref in self.refs.items()
            if name in words
        ]
        return Result(step, 0, "\n".join(map(json.dumps, [*lines, {"type": "result", "ok": True}])))


Open = Callable[..., Run]


@pytest.fixture
def opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    events: list[Event] = []

    def opened(folder: Path = root, **refs: str) -> Run:
        run = Run.open(folder, Output(events.append), environment=dict(os.environ))
        known = {f"blog-{name.replace('_', '-')}": ref for name, ref in refs.items()}
        hosts = {name: Host(name, "10.0.0.1") for name in ("blog-1", "blog-2", *known)}
        # Which stacks exist is the provider's answer, and what they have is the hosts'.
        run.__dict__["stacks"] = hosts
        monkeypatch.setattr(type(run), "remote", lambda self, host: Remote(known))
        return run

    return opened


def new(run: Run, name: str = "x", **choice: Any) -> Run:
    ((made, options),) = NamedStacks(run).deploys(DeployOptions(names=(name,)), SourceChoice(**choice))
    # Its lock would keep the next run waiting.
    made.resources.close()
    assert options.names == options.new == (f"blog-{name.removeprefix('blog-')}",)
    return made


def test_the_project_is_that_of_the_reference_and_the_hosts_are_those_from_here(root: Path, opened: Open) -> None:
    write(root, {"new.txt": "", ".devcontainer/compose.yml": "broken"})
    git(root, "remote", "add", "origin", "https://ann:t0ken@example.org/blog.git")
    run = Run.open(root / ".devcontainer", Output(lambda event: None), environment=dict(os.environ))
    run.__dict__["stacks"] = {}
    made = new(run, ref="feature/x").project
    assert str(made.version) == git(root, "rev-parse", "feature/x")
    assert [item.name for item in made.compose.services] == ["app", "cache"]
    assert made.config.secrets == ("NEW",)
    assert (made.config.service, made.config.provider.type, made.config.ssh.user) == ("blog", "static", "")
    assert {name: secret.reveal() for name, secret in made.variables().items()} == {"NEW": "ours"}
    assert (made.private(), runnable(made)) == (root / ".kamal/local", run.project and runnable(run.project))
    assert made.root != root
    release = render_release(made, "blog-x")
    manifest = json.loads(next(file.content for file in release.files if file.path == "manifest.json"))
    assert list(manifest)[:3] == ["stack", "ref", "repository"]
    assert (manifest["ref"], manifest["repository"]) == ("feature/x", "https://example.org/blog.git")


def test_a_reference_without_configuration_uses_the_one_here(root: Path, opened: Open) -> None:
    git(root, "switch", "--quiet", "--create", "old")
    git(root, "rm", "--quiet", "-r", "config")
    commit(root)
    git(root, "switch", "--quiet", "main")
    write(root, {"config/dev.local.yml": "secrets: [NEW]\n"})
    assert new(opened(), ref="old").project.config.secrets == ("NEW",)


def test_a_worktree_and_the_working_tree_can_be_named_stacks(root: Path, opened: Open) -> None:
    tree = root.parent / "tree"
    git(root, "worktree", "add", "--quiet", str(tree), "feature/x")
    write(tree, {"new.txt": ""})
    made = new(opened(), worktree="../tree").project
    assert (made.version.is_dirty, made.source_origin.ref, made.root) == (True, str(tree), tree)
    assert (made.home.root, made.config.secrets) == (root, ("NEW",))
    write(root, {"new.txt": ""})
    here = new(opened(), here=True).project
    assert (here.version.is_dirty, here.source_origin.ref, here.root) == (True, ".", root)


def test_commands_of_a_pull_request_do_not_run_on_this_machine(root: Path, opened: Open, tmp_path: Path) -> None:
    git(root, "switch", "--quiet", "--detach")
    write(root, {".devcontainer/devcontainer.json": f'{DEVCONTAINER[:-1]}, "initializeCommand": "touch owned"}}'})
    commit(root)
    git(tmp_path, "init", "--quiet", "--bare", "there.git")
    git(root, "remote", "add", "origin", str(tmp_path / "there.git"))
    git(root, "push", "--quiet", "origin", "HEAD:refs/pull/7/head")
    git(root, "switch", "--quiet", "main")
    ((made, options),) = NamedStacks(opened()).deploys(DeployOptions(names=("x",)), SourceChoice(ref="pr/7"))
    made.resources.close()
    assert (made.project.source_origin.ref, options.skip_initialize) == ("pr/7", True)


def test_a_digest_changes_with_the_reference_only(root: Path, opened: Open) -> None:
    git(root, "branch", "same")
    plain = render_release(opened().project, "blog-x").digest
    first, second = (render_release(new(opened(), ref=ref).project, "blog-x") for ref in ("main", "same"))
    assert len({plain, first.digest, second.digest}) == 3
    git(root, "remote", "add", "origin", "https://example.org/blog.git")
    assert render_release(new(opened(), ref="main").project, "blog-x").digest == first.digest


def deployed(run: Run, *names: str) -> list[tuple[str, tuple[str, ...]]]:
    """The reference of each source, and the stacks that get it."""
    every = NamedStacks(run).deploys(DeployOptions(names=names), SourceChoice())
    run.resources.close()
    return [(item.project.source_origin.ref, options.names) for item, options in every]


def test_a_name_is_deployed_again_from_what_its_host_says(root: Path, opened: Open) -> None:
    git(root, "tag", "v1")
    run = opened(x="feature/x", old="v1", tree=".")
    assert deployed(run) == [("", ())]
    assert deployed(run, "blog-2") == [("", ("blog-2",))]
    assert deployed(run, "x") == [("feature/x", ("blog-x",))]
    assert deployed(run, "blog-old", "x", "tree", "blog-1") == [
        ("", ("blog-1",)),
        (".", ("blog-tree",)),
        ("feature/x", ("blog-x",)),
        ("v1", ("blog-old",)),
    ]
    assert deployed(run, "*") == [
        ("", ("blog-1", "blog-2")),
        (".", ("blog-tree",)),
        ("feature/x", ("blog-x",)),
        ("v1", ("blog-old",)),
    ]


def test_a_stack_that_never_reached_a_host_is_tried_again_with_its_reference(root: Path, opened: Open) -> None:
    new(opened(), ref="feature/x")
    assert deployed(opened(), "x") == [("feature/x", ("blog-x",))]
    update(
        root / ".kamal/local",
        lambda state: State(results=(("blog-1", "deployed"), ("blog-y", "failed")), hosts=(known("blog-y"),)),
    )
    run = opened(y="main")
    every = NamedStacks(run).deploys(DeployOptions(retry_failed=True), SourceChoice())
    assert [(item.project.source_origin.ref, options.names) for item, options in every] == [("main", ("blog-y",))]


def known(stack: str) -> CachedHost:
    return CachedHost.of(stack, Host(stack, "10.0.0.1"), "static")


def test_each_source_is_sent_to_the_stacks_that_have_it(opened: Open) -> None:
    run = opened(x="feature/x")
    groups = NamedStacks(run).by_source(())
    assert [(item.project.source_origin.ref, names) for item, names in groups] == [
        ("", ("blog-1", "blog-2")),
        ("feature/x", ("blog-x",)),
    ]
    assert NamedStacks(run).by_source(("blog-2",)) == [(run, ("blog-2",))]


def test_removing_a_stack_deletes_its_checkout(root: Path, opened: Open, tmp_path: Path) -> None:
    run = opened()
    new(run, ref="feature/x")
    assert list((tmp_path / "cache/kamal-dev").iterdir())
    NamedStacks(run).forget(["blog-1", "blog-x"])
    assert not list((tmp_path / "cache/kamal-dev").iterdir())


@pytest.mark.parametrize(
    ("names", "choice", "words", "hint"),
    [
        (("feature/x",), {"ref": "feature/x"}, "`feature/x` cannot be the name of a stack", "`feature-x`"),
        (("Fix",), {"ref": "main"}, "`Fix` cannot be", "`fix`"),
        (("a b; rm",), {"ref": "main"}, "cannot be the name", "`a-b-rm`"),
        (("../x",), {"here": True}, "cannot be the name", "`x`"),
        (("-",), {"ref": "main"}, "cannot be the name", "`fix-42`"),
        (("x" * 63,), {"ref": "main"}, "cannot be the name", "`xxx"),
        (("2",), {"ref": "main"}, "`blog-2` is a numbered stack", "`fix-2`"),
        (("blog-2",), {"ref": "main"}, "`blog-2` is a numbered stack", "`fix-2`"),
        (("app",), {"here": True}, "`blog-app` has the name of a service", "another name"),
        (("cache",), {"ref": "feature/x"}, "`blog-cache` has the name of a service", "another name"),
        ((), {"ref": "main"}, "`--ref` needs the name of one stack", "`dev deploy fix-42 --ref main`"),
        (("a", "b"), {"here": True}, "`--here` needs the name", "`dev deploy fix-42 --here`"),
        (("a",), {"here": True, "ref": "main"}, "--ref and --here are two sources", "one of them"),
        (("a",), {"worktree": "nowhere"}, "nowhere of blog-a does not exist", "--ref BRANCH"),
        (("a",), {"worktree": ".."}, "git|not a worktree", ""),
        (("a",), {"ref": "feature/z"}, "no branch, tag or commit `feature/z`", "`feature/x`"),
        (("a",), {}, "there is no stack `a`", "blog-1"),
        (("lost",), {}, "the reference of blog-lost is unknown", "`dev deploy blog-lost --ref REF`"),
    ],
)
def test_what_cannot_be_a_named_stack_is_an_error_with_a_hint(
    opened: Open, names: tuple[str, ...], choice: dict[str, Any], words: str, hint: str
) -> None:
    run = opened()
    run.stacks["blog-lost"] = Host("blog-lost", "10.0.0.2")
    with pytest.raises(Exception, match=words) as caught:
        NamedStacks(run).deploys(DeployOptions(names=names), SourceChoice(**choice))
    assert hint in caught.value.hint  # type: ignore[attr-defined]


# --- what other verbs call it


def test_a_name_may_be_given_without_the_service() -> None:
    stacks = ("blog-1", "blog-fix-42", "blog-web")
    assert matching(stacks, "fix-42", "blog") == ("blog-fix-42",)
    assert matching(stacks, "fix-*", "blog") == ("blog-fix-42",)
    assert matching(stacks, "1", "blog") == ()
    assert restrict(stacks, ("fix-42", "blog-1"), "blog") == ("blog-1", "blog-fix-42")
    with pytest.raises(UsageError, match="no stack `fix-43`"):
        restrict(stacks, ("fix-43",), "blog")
    chosen = select(("fix-42", "web"), stacks, ("web", "db"), "blog")
    assert (chosen.stacks, chosen.services) == (("blog-fix-42",), ("web",))


def test_a_list_has_a_column_for_references_if_there_are_any() -> None:
    plain = StackStatus("blog-1", Host("blog-1", "10.0.0.1"), "up", "v1")
    named = StackStatus("blog-x", Host("blog-x", "10.0.0.1"), "up", "a" * 40, ref="feature/x")
    here = StackStatus("blog-y", Host("blog-y", "10.0.0.1"), "up", "v2", ref=".")
    assert lines([plain]) == (
        ("STACK", "HOST", "ADDRESS", "VERSION", "STATE"),
        [(*["blog-1"] * 2, "10.0.0.1", "v1", "up")],
    )
    head, rows = lines([plain, named, here])
    assert [row[3:] for row in (head, *rows)] == [
        ("REF", "VERSION", "STATE"),
        ("-", "v1", "up"),
        ("feature/x", "a" * 12, "up"),
        ("working tree", "v2", "up"),
    ]


def test_a_host_says_whose_a_named_stack_is(root: Path, opened: Open, tmp_path: Path) -> None:
    git(root, "branch", "q,\"'$x")
    releases = [
        render_release(new(opened(), "web-1", ref="q,\"'$x").project, "blog-web-1"),
        render_release(opened().project, "blog-1"),
    ]
    home = Home(tmp_path / "host")
    for release in releases:
        folder = home.path / ".kamal-dev" / release.stack
        write(folder / "releases/r1", {file.path: file.content.decode() for file in release.files})
        write(folder / "releases/r1", {".kamal-dev/version": "v1", ".kamal-dev/digest": "d"})
        (folder / "current").symlink_to("releases/r1")
    survey = surveys.surveyed(home.run(surveys.survey(scripts(), [question(item.stack) for item in releases])).output)
    assert survey
    assert ({*survey.stacks}, survey.named) == ({"blog-1", "blog-web-1"}, ("blog-web-1 blog",))
    current = {stack: facts.release for stack, facts in survey.facts.items()}
    assert {stack: (item.ref, item.service) for stack, item in current.items() if item} == {
        "blog-1": ("", "blog"),
        "blog-web-1": ("q,\"'$x", "blog"),
    }
    surveyed = SurveyedHosts((HostContents(Host("a", "a"), survey.stacks),), {"a": survey})
    project = opened().project
    assert [*surveyed.of(project)] == ["blog-1", "blog-web-1"]
    # It is no stack of the project whose first stack has the same name.
    other = replace(project, config=replace(project.config, service="blog-web"))
    assert [*surveyed.of(other)] == []

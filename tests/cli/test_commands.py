from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kamal_dev.cli.app import COMMANDS, app
from kamal_dev.cli.exit import explanation, guarded
from kamal_dev.errors import ConfigError, Declined, DevError, Problem
from kamal_dev.pipeline.rollback import RollbackOptions
from kamal_dev.pipeline.run.report import Report
from kamal_dev.pipeline.run.run import Run
from tests import dev


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".devcontainer").mkdir()
    (tmp_path / ".devcontainer" / "devcontainer.json").write_text('{"image": "debian:12"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str, env: dict[str, str] | None = None) -> dev.Finished:
    return dev.run(args, cwd=Path.cwd(), env={**os.environ, **(env or {})})


def test_the_package_runs_as_a_module(project: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "kamal_dev", "render"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, run("render").stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert COMMANDS[name] in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("depoly",), "Did you mean `deploy`?"),
        (("deploy", "--cuont", "3"), "--count"),
        (("deploy", "--bogus"), "No such option"),
        (("deploy", "--count", "0"), "0 is not in the range"),
        (("deploy", "--count", "10000"), "10000 is not in the range"),
        (("deploy", "--timeout", "inf"), "inf is not in the range"),
        (("wait", "blog-1", "--timeout", "nan"), "'nan' is not a number"),
        (("rollback", "one", "two", "three"), "there is no stack `one`"),
        (("rollback", "--hots", "one"), "--host"),
    ],
)
def test_what_is_mistyped_is_an_error_and_never_a_name(project: Path, args: tuple[str, ...], said: str) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("project")
def test_a_rollback_without_a_terminal_wants_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rolled_back(run: Run, order: RollbackOptions) -> Report:
        assert order.agree("Roll back blog-1?")
        return Report("Rolled back", "v1", ())

    monkeypatch.setattr("kamal_dev.pipeline.rollback.rollback", rolled_back)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for words in (["rollback"], ["rollback", "--json"]):
        assert guarded(app, words) == 2
        told = capsys.readouterr().err
        assert "cannot ask for confirmation without a terminal: Roll back blog-1?" in told
        assert "add `--yes`" in told
    assert guarded(app, ["rollback", "--yes"]) == 0


def test_a_stack_that_does_not_exist_is_refused_with_the_nearest(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config" / "dev.yml").write_text("service: blog\nregistry: {server: localhost:5999}\n")
    done = run("deploy", "blog-11", "--count", "2")
    assert done.returncode == 2
    assert "there is no stack `blog-11`" in done.stderr
    assert "blog-1" in done.stderr


def test_init_writes_both_files_and_never_over_what_is_there(project: Path) -> None:
    assert run("init").returncode == 0
    assert (project / ".kamal" / "secrets").stat().st_mode & 0o777 == 0o600
    assert "/.kamal/secrets" in (project / ".gitignore").read_text().splitlines()
    (project / ".kamal" / "secrets").write_text("MINE=precious\n")
    again = run("init")
    assert again.returncode == 2
    assert "exist already" in again.stderr
    assert (project / ".kamal" / "secrets").read_text() == "MINE=precious\n"


@pytest.mark.parametrize("is_repository", [False, True])
def test_init_does_without_git(project: Path, is_repository: bool) -> None:
    if is_repository:
        subprocess.run(["git", "init", "--quiet"], check=True)
    (project / "empty").mkdir()
    done = run("init", env={"PATH": str(project / "empty")})
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (project / "config/dev.yml").exists()


def test_init_takes_no_harm_from_a_repository_that_cannot_be_read(project: Path) -> None:
    (project / ".git").mkdir()
    (project / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (project / ".git/config").write_text("[core\n")
    assert run("init").returncode == 0


def test_init_names_every_file_that_it_makes_or_changes(project: Path) -> None:
    before = {path for path in project.rglob("*") if path.is_file()}
    named = run("init").stdout.splitlines()
    made = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file() and path not in before}
    assert sorted(named) == sorted(made)
    assert ".gitignore" in named
    assert ".gitignore" not in run("init", "--force").stdout


def test_init_says_which_of_several_devcontainers_it_took(project: Path) -> None:
    (project / ".devcontainer/api").mkdir()
    (project / ".devcontainer/api/devcontainer.json").write_text('{"image": "debian:12"}')
    said = run("init").stderr
    assert "uses .devcontainer/devcontainer.json, not .devcontainer/api/devcontainer.json" in said
    assert "`image.devcontainer`" in said
    assert "--devcontainer" in said
    assert run("config").returncode == 0
    done = run("init", "--force", "--devcontainer", ".devcontainer/api/devcontainer.json")
    assert "Several" not in done.stderr


COMPOSE = """\
services:
  db:
    image: postgres:15
    environment:
      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?set it}
      POSTGRES_USER: ${POSTGRES_USER}
      PGPASS: ${DEFAULT_PASSWORD:-dev}
      # OLD: ${OLD_TOKEN}
  app:
    image: debian:12
    environment:
      - API_KEY
      - MODE
      - KEYBOARD=$KEYBOARD
      - GIVEN=$GIVEN_TOKEN
"""


def test_init_names_the_secrets_that_compose_files_want(project: Path) -> None:
    (project / ".devcontainer/compose.yaml").write_text(COMPOSE)
    named = '{"dockerComposeFile": "compose.yaml", "service": "app"}'
    (project / ".devcontainer/devcontainer.json").write_text(named)
    (project / ".env").write_text("GIVEN_TOKEN=x\n")
    run("init")
    wanted = (project / ".kamal/secrets").read_text().partition("Variables of the compose files")[2]
    assert [line for line in wanted.splitlines() if "=" in line] == ["# POSTGRES_PASSWORD=", "# API_KEY="]
    (project / ".devcontainer/devcontainer.json").write_text("{broken")
    assert run("init", "--force").returncode == 0


def test_init_with_force_loses_nothing(project: Path) -> None:
    run("init")
    (project / ".kamal" / "secrets").write_text("MINE=precious\n")
    assert run("init", "--force").returncode == 0
    kept = project / ".kamal" / "local" / "secrets.bak"
    assert kept.read_text() == "MINE=precious\n"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_what_init_writes_is_a_configuration(project: Path) -> None:
    run("init")
    done = run("config", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["config"]["registry"]["server"] == "localhost:5555"
    assert data["devcontainer"]["image"] == "debian:12"


def test_config_prints_no_secret(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config" / "dev.yml").write_text("service: blog\nsecrets: [API_KEY]\n")
    done = run("config", env={"API_KEY": "very-secret-value"})
    assert done.returncode == 0, done.stderr
    assert "API_KEY" in done.stdout
    assert "very-secret-value" not in done.stdout + done.stderr


def test_a_secret_is_redacted_wherever_it_stands_and_asked_for_by_nobody(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config" / "dev.yml").write_text("service: blog\nsecrets: [API_KEY, ASKED]\n")
    (project / ".kamal").mkdir()
    (project / ".kamal" / "secrets").write_text("API_KEY=very-secret-value\nASKED=$(touch asked)\n")
    (project / ".devcontainer").mkdir(exist_ok=True)
    said = {"dockerComposeFile": "c.yaml", "service": "app", "name": "very-secret-value of-a-file"}
    (project / ".devcontainer" / "devcontainer.json").write_text(json.dumps(said))
    (project / ".devcontainer" / "c.yaml").write_text(
        "services: {app: {image: x, secrets: [s], very-secret-value: 1}}\nsecrets: {s: {file: s.txt}}\n"
    )
    (project / ".devcontainer" / "s.txt").write_text("of-a-file\n")
    for words in (("config",), ("config", "--json"), ("render",), ("render", "--json"), ("render", "--explain")):
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert "very-secret-value" not in done.stdout + done.stderr
    assert "of-a-file" not in run("render", "--json").stdout
    assert not (project / "asked").exists()
    registry = "registry: {server: r.example, username_env: ASKED, password_env: ASKED}\n"
    (project / "config" / "dev.yml").write_text(f"service: blog\nimage: acme/blog\n{registry}")
    for words in (("config",), ("render",), ("list", "--json")):
        run(*words)
    assert not (project / "asked").exists()
    (project / "config" / "dev.yml").write_text(f"service: blog\n{registry}")
    (project / ".devcontainer" / "c.yaml").write_text("services: {app: {build: {dockerfile_inline: FROM x}}}\n")
    run("render")
    assert (project / "asked").exists(), "the user is part of the name of an image that is built"


def test_render_explains_what_swarm_changes_and_cannot_do(project: Path) -> None:
    said = {"dockerComposeFile": "c.yaml", "service": "app", "privileged": True}
    (project / ".devcontainer" / "devcontainer.json").write_text(json.dumps(said, indent=1))
    (project / ".devcontainer" / "c.yaml").write_text(
        "services:\n  app:\n    image: x\n    restart: always\n    init: true\n    ipc: host\n    tmpfs: /run\n"
    )
    done = run("render", "out", "--engine", "swarm-stack", "--explain", "--json")
    rows = {row["key"]: (row["outcome"], row["text"]) for row in json.loads(done.stdout)["explanations"]}
    assert rows["services.app.restart"] == ("not as written", "`deploy.restart_policy.condition: any`")
    assert rows["services.app.init"] == ("left to Swarm", "as written")
    assert rows["services.app.ipc"] == ("an error", "Swarm cannot share namespaces")
    assert rows["privileged"] == ("an error", "Swarm has no privileged containers")
    assert (
        ".devcontainer/c.yaml:6:10: services.app.ipc: Swarm cannot share namespaces: a deploy would fail" in done.stderr
    )
    assert "node.id == ${KAMAL_DEV_NODE}" in (project / "out" / "kamal-dev.stack.yaml").read_text()
    degraded = run("render", "--engine", "swarm-stack", "--degraded")
    assert "services.app.ipc: Swarm cannot share namespaces; it is left out" in degraded.stderr
    assert "a deploy would fail" not in degraded.stderr
    assert "kamal-dev.stack.yaml" not in run("render").stdout


def test_what_is_outside_is_rendered_with_the_flag_alone_and_forbids_no_other_command(project: Path) -> None:
    (project.parent / "outside.env").write_text("OUT=1\n")
    (project / ".devcontainer" / "devcontainer.json").write_text('{"dockerComposeFile": "c.yaml", "service": "app"}')
    (project / ".devcontainer" / "c.yaml").write_text("services: {app: {image: x, env_file: ../../outside.env}}\n")
    done = run("render", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "c.yaml:1:38: `" in done.stderr and "`--allow-outside`" in done.stderr
    done = run("render", "out", "--allow-outside")
    assert done.returncode == 0, done.stderr
    assert "is outside the repository and is sent to hosts" in done.stderr
    (found,) = Path("out/kamal-dev.files/outside").rglob("outside.env")
    assert (found.read_text(), found.stat().st_mode & 0o777) == ("OUT=1\n", 0o600)
    done = run("ssh", "blog-1", "--service", "nothing")
    assert "outside" not in done.stderr


def test_a_secret_of_compose_that_is_set_nowhere_is_told_before_anything_is_done(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config/dev.yml").write_text("service: blog\nprovider: {type: static, hosts: [root@127.0.0.1:1]}\n")
    (project / ".devcontainer/devcontainer.json").write_text('{"dockerComposeFile": "c.yaml", "service": "app"}')
    (project / ".devcontainer/c.yaml").write_text(
        "services: {app: {image: x, secrets: [mail]}}\nsecrets:\n  mail: {environment: MAIL_PASSWORD}\n"
    )
    said = ".devcontainer/c.yaml:3:23: secrets.mail: `MAIL_PASSWORD` is not set anywhere, and `app` needs it"
    hint = "hint: add `MAIL_PASSWORD=…` to .kamal/secrets, or set it in the environment"
    for words in (("deploy",), ("deploy", "--dry-run")):
        done = run(*words)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {said}\n{hint}\n")
    done = run("render", "--json")
    assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, [said])
    assert f"{said}: a deploy would fail" in done.stderr
    done = run("doctor")
    assert f"✗ project: {said}\n  {hint}\n" in done.stdout
    (project / ".kamal").mkdir(exist_ok=True)
    (project / ".kamal/secrets").write_text("MAIL_PASSWORD=$(touch asked; echo x)\n")
    assert json.loads(run("render", "--json").stdout)["problems"] == []
    assert not (project / "asked").exists()


def test_a_dry_run_says_what_is_amiss_and_is_json_where_that_is_asked_for(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config/dev.yml").write_text("service: blog\nprovider: {type: static, hosts: [root@127.0.0.1:1]}\n")
    said = {"dockerComposeFile": "c.yaml", "service": "app", "remoteUsr": "me", "initializeCommand": "touch made"}
    (project / ".devcontainer/devcontainer.json").write_text(json.dumps(said))
    (project / ".devcontainer/c.yaml").write_text(
        "services:\n  app:\n    image: x\n    x-mine: 1\n    volumes: [./gone.conf:/gone.conf]\n"
    )
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done, rendered = run("deploy", "--dry-run", env=environment), run("render", env=environment)
    notices = [line[9:] for line in rendered.stderr.splitlines() if line[9:].startswith("! ")]
    assert len(notices) > 1 and "remoteUsr" in rendered.stderr and "gone.conf" in rendered.stderr
    assert [line[9:] for line in done.stderr.splitlines() if line[9:] in notices] == notices
    told = run("deploy", "--dry-run", "--json", env=environment)
    data = json.loads(told.stdout.splitlines()[-1])["plan"]
    assert data["steps"][0] == "$ /bin/sh -c 'touch made'"
    assert "remoteUsr" in told.stdout
    assert not (project / "made").exists()


def test_render_needs_neither_engine_nor_secrets(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config" / "dev.yml").write_text("service: blog\nsecrets: [API_KEY]\n")
    done = run("render", "out", "--json", env={"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["stack"] == "blog-1"
    assert sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()) == data["files"]
    assert "API_KEY='[redacted]'" in Path("out/.env").read_text()


@pytest.mark.parametrize("words", [("config", "--json"), ("render", "out", "--json", "--explain")])
def test_reading_and_rendering_need_no_other_program(words: tuple[str, ...], project: Path) -> None:
    assert not (project / ".git").exists()
    done = run(*words, env={"PATH": str(project / "nothing")})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["devcontainer"]["image"] == "debian:12"


def test_render_says_where_it_may_not_write(project: Path) -> None:
    (project / "file").write_text("")
    for folder in ("/proc/nowhere", "file"):
        done = run("render", folder)
        assert done.returncode == 2
        assert f"error: {folder}" in done.stderr
        assert "cannot be written" in done.stderr


def test_completion_knows_commands_and_flags() -> None:
    words = {"COMP_WORDS": "dev de", "COMP_CWORD": "1", "_DEV_COMPLETE": "bash_complete"}
    assert run(env=words).stdout.split() == ["plain,deploy"]
    words |= {"COMP_WORDS": "dev deploy --skip", "COMP_CWORD": "2"}
    skips = ["plain,--skip-build", "plain,--skip-push", "plain,--skip-initialize", "plain,--skip-hooks"]
    assert run(env=words).stdout.split() == skips


def test_an_error_says_what_is_left_and_what_to_do() -> None:
    error = DevError("the push failed\nsecond line", hint="try again", left_behind="the image here")
    assert explanation(error) == ("error: the push failed\n  second line\nleft behind: the image here\nhint: try again")
    problems = ConfigError([Problem("a.yml", 3, "is wrong", "x.y"), Problem("a.yml", 4, "too")])
    assert explanation(problems) == "error: 2 problems\n  a.yml:3: x.y: is wrong\n  a.yml:4: too"


def test_a_defect_of_ours_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(app, "main", broken)
    monkeypatch.delenv("KAMAL_DEV_TRACEBACK", raising=False)
    assert guarded(app, []) == 1
    said = capsys.readouterr().err
    assert "this is a defect of kamal-dev: ZeroDivisionError: oh" in said
    assert "Traceback (most recent" not in said


def test_a_no_is_no_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def declined(**_: object) -> None:
        raise Declined

    monkeypatch.setattr(app, "main", declined)
    assert guarded(app, []) == 1
    assert capsys.readouterr().err == "error: cancelled, nothing was changed on any host\n"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "main", interrupted)
    assert guarded(app, ["deploy"]) == 130
    assert "Interrupted. Work already started on hosts may still finish" in capsys.readouterr().err
    assert guarded(app, ["wait", "blog-1"]) == 130
    assert capsys.readouterr().err == "Interrupted\n"


@pytest.mark.parametrize("verb", ["ssh", "forward", "open"])
def test_names_of_stacks_are_completed(project: Path, verb: str) -> None:
    (project / "config").mkdir()
    hosts = "provider: {type: static, hosts: [10.0.0.1, 10.0.0.2]}\n"
    (project / "config" / "dev.yml").write_text(f"service: blog\nregistry: {{server: localhost:5999}}\n{hosts}")
    done = run(env={"_DEV_COMPLETE": "bash_complete", "COMP_WORDS": f"dev {verb} bl", "COMP_CWORD": "2"})
    assert done.stdout.splitlines() == ["plain,blog-1", "plain,blog-2"]


@pytest.mark.parametrize("verb", ["ssh", "forward", "open"])
def test_one_of_several_stacks_must_be_named(project: Path, verb: str) -> None:
    (project / "config").mkdir()
    hosts = "provider: {type: static, hosts: [10.0.0.1, 10.0.0.2]}\n"
    (project / "config" / "dev.yml").write_text(f"service: blog\nregistry: {{server: localhost:5999}}\n{hosts}")
    done = run(verb)
    assert done.returncode == 2
    assert "hint: known: blog-1, blog-2" in done.stderr
    assert "did you mean `blog-1`" in run(verb, "blog-11").stderr


@pytest.mark.parametrize(
    ("args", "name", "words"),
    [
        (["blog-1"], "blog-1", ()),
        (["blog-1", "ls", "-l", "--service", "x"], "blog-1", ("ls", "-l", "--service", "x")),
        (["blog-1", "--service", "db", "ls", "-l"], "blog-1", ("ls", "-l")),
        (["-v", "--service", "db", "blog-1", "-q", "--", "--help"], "blog-1", ("--help",)),
        (["--", "ls", "--", "x"], None, ("ls", "--", "x")),
        (["blog-1", "git", "log", "--", "x"], "blog-1", ("git", "log", "--", "x")),
        ([], None, ()),
    ],
)
def test_what_follows_the_name_is_the_command(args: list[str], name: str | None, words: tuple[str, ...]) -> None:
    from kamal_dev.cli.ssh_ import command

    with command.make_context("ssh", list(args)) as context:
        assert context.params["name"] == name
        assert context.meta["words"] == words


def _helps() -> Iterator[tuple[str, click.Command]]:
    with click.Context(app) as context:
        for name in COMMANDS:
            command = app.get_command(context, name)
            assert command is not None
            yield name, command
            if isinstance(command, click.Group):
                yield from ((f"{name} {child}", command.commands[child]) for child in command.commands)


HELPS = list(_helps())


def _parse(words: list[str]) -> None:
    """Parse a command line of `dev` to its end; raises UsageError for one that is wrong."""
    group, context = app, click.Context(app, info_name="dev")
    while isinstance(group, click.Group):
        name, command, words = group.resolve_command(context, words)
        assert command is not None
        context = command.make_context(name, words, parent=context)
        group, words = command, [*context._protected_args, *context.args]


@pytest.mark.parametrize(("name", "command"), HELPS, ids=[name for name, _ in HELPS])
def test_every_help_has_examples_that_are_commands(name: str, command: click.Command) -> None:
    with click.Context(command, info_name=name) as context:
        text = command.get_help(context)
    lines = re.findall(r"^ *\$ (.*)$", text.partition("Examples:\n")[2], re.M)
    assert lines
    for line in lines:
        program, *words = shlex.split(line, comments=True)
        assert (program, name) == ("dev", " ".join(words[: name.count(" ") + 1]))
        _parse(words)


DROPPED = """
import os, signal, time, click
from kamal_dev.cli import exit
exit.ENDING = 0.2
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
@click.command()
def app():
    Finalized()
    time.sleep(60)
exit.guarded(app, [])
"""


def test_a_sigterm_that_python_drops_still_ends_the_command() -> None:
    done = subprocess.run([sys.executable, "-c", DROPPED], check=False, timeout=30, capture_output=True)
    assert done.returncode == 130


UNREAD = """
import sys, click
from kamal_dev.cli import common, exit
@click.command()
def app():
    while True: common.write("x" * 1000)
sys.exit(exit.guarded(app, []))
"""


def test_a_reader_that_ends_early_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", UNREAD], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert (process.wait(30), process.stderr.read()) == (141, b"")

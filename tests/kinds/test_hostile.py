"""A workspace is hostile territory.

Everything that people and their programs can write is untrusted input: the workspace, its `.git`,
the names in it, what a host answers, and what a repository brings along. Whatever they plant
there, and whenever they swap it, nothing outside the workspace changes on the host, nothing but a
branch changes here, no verb waits for ever, and nobody's terminal is written to.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from kamal_dev.cli.exit import guarded
from kamal_dev.commands import answers, payload
from kamal_dev.commands import workspace as commands
from kamal_dev.commands.facts import Facts
from kamal_dev.errors import DevError, HostError, UsageError
from kamal_dev.model import Host, Result, Secret, Step
from kamal_dev.output import Event, Output
from kamal_dev.output.plain import render
from kamal_dev.output.printable import printable
from kamal_dev.pipeline.hosts.clone import Clone
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.init import init
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import private
from tests import dev
from tests.workspace.conftest import make
from tests.workspace.lab import CONFIG, STACK, Home, Lab, git, write

STRANGER = 1500
OWNERS = (STRANGER, 0) if os.getuid() == 0 else (os.getuid(),)
PATIENCE = 60.0
SCRIPTS = Path(commands.__file__).parents[1] / "host"

# What git reads or writes in its own folder.
FILES = (
    "index",
    "HEAD",
    "config",
    "packed-refs",
    "shallow",
    "logs/HEAD",
    "refs/heads/main",
    "info/exclude",
    "index.new",
)
FOLDERS = ("refs/tags", "refs", "objects", "objects/pack", "logs", "info")


class Victim:
    """Files and folders of the host that are none of the workspace's business."""

    def __init__(self, folder: Path) -> None:
        self.file, self.folder = folder / "secret", folder / "etc"
        self.folder.mkdir(parents=True)
        (self.folder / "passwd").write_text("root:x:0:0\n")
        self.file.write_text("secret\n")
        self.file.chmod(0o600)
        self._before = self._state()

    def _state(self) -> object:
        paths = sorted((self.file, self.folder, *self.folder.rglob("*")))
        return [(str(p), p.lstat().st_mode, p.lstat().st_uid, p.read_bytes() if p.is_file() else b"") for p in paths]

    def is_untouched(self) -> bool:
        """Whether they are as they were."""
        return self._state() == self._before


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A workspace that was sent once, and that people own by now; a test may say which user."""
    lab = make(tmp_path, monkeypatch)
    lab.bring()
    give(lab.home.workspace, getattr(request, "param", OWNERS[0]))
    return lab


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path / "host")


# An unprivileged user, and one whose files are root's on the host, too.
of_either = pytest.mark.parametrize("lab", OWNERS, indirect=True)


def give(folder: Path, owner: int) -> None:
    """Make everything below a folder belong to a user, as a deploy does."""
    for path in (folder, *folder.rglob("*")):
        os.lchown(path, owner, owner)


def plant(path: Path, put: Callable[[Path], None]) -> None:
    """Put something in the place of what is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    put(path)


def news(lab: Lab) -> None:
    """Let there be a commit and a tag here that the host has not."""
    tag = f"v{time.monotonic_ns()}"
    lab.commit({"a.txt": tag})
    git(lab.root, "tag", tag)


@pytest.fixture
def pristine(lab: Lab, tmp_path: Path) -> Callable[[], None]:
    """A way to have the workspace again as it was at first."""
    subprocess.run(["cp", "-a", lab.home.path, tmp_path / "pristine"], check=True)

    def again() -> None:
        shutil.rmtree(lab.home.path)
        subprocess.run(["cp", "-a", tmp_path / "pristine", lab.home.path], check=True)

    return again


@of_either
def test_no_link_in_a_git_folder_leads_out_of_the_workspace(
    lab: Lab, victim: Victim, pristine: Callable[[], None]
) -> None:
    news(lab)
    for name in FILES + FOLDERS:
        target = victim.folder if name in FOLDERS else victim.file
        plant(lab.clone / ".git" / name, lambda path, target=target: path.symlink_to(target))  # type: ignore[misc]
        state = lab.bring(ask=True)
        assert victim.is_untouched(), name
        if state == "skipped":
            assert f"a link is in the way: `.git/{name}`" in "".join(lab.said) or name == "HEAD", lab.said
        else:
            assert (state, name) == ("moved", "index.new")
        pristine()


def test_a_pipe_or_a_device_in_place_of_a_file_is_named_and_nobody_waits_for_it(
    lab: Lab, victim: Victim, pristine: Callable[[], None]
) -> None:
    news(lab)
    for name in ("index", "HEAD", "refs/heads/main", "objects/info/alternates"):
        plant(lab.clone / ".git" / name, os.mkfifo)
        started = time.monotonic()
        assert lab.bring(ask=True) == "skipped", name
        assert "is in the way" in "".join(lab.said) or name == "HEAD", lab.said
        with pytest.raises(HostError):
            lab.pull()
        assert time.monotonic() - started < PATIENCE
        assert not (lab.home.workspace.parent / "lock").exists()
        pristine()


def test_a_pipe_where_git_reads_rules_is_named_and_force_puts_it_aside(lab: Lab) -> None:
    news(lab)
    plant(lab.clone / ".gitignore", os.mkfifo)
    started = time.monotonic()
    assert lab.bring(ask=True) == "skipped"
    assert "`.gitignore` is in the way: it is not a regular file" in "".join(lab.said)
    with pytest.raises(HostError, match=r"`\.gitignore` is in the way"):
        lab.pull()
    assert lab.bring(force=True) == "new"
    assert time.monotonic() - started < PATIENCE


@pytest.mark.parametrize("put", [os.mkfifo, Path.touch, lambda path: path.symlink_to("none")])
def test_a_workspace_that_is_no_folder_is_left_and_force_puts_it_aside(lab: Lab, put: Callable[[Path], None]) -> None:
    news(lab)
    plant(lab.clone, put)
    assert lab.bring(force=True) == "new"
    assert (lab.clone / "a.txt").is_file()


def test_what_waits_where_nobody_looked_is_ended_and_the_lock_with_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {name: text.replace("stall=20\n", "stall=3\n") for name, text in lab.scripts.items()}
    assert scripts != lab.scripts
    monkeypatch.setattr(Run, "scripts", scripts)
    # git looks into folders that seem to be repositories, whoever made them.
    inner = lab.clone / "inner"
    git(lab.root, "init", "--quiet", str(inner))
    plant(inner / ".git" / "HEAD", os.mkfifo)
    news(lab)
    started = time.monotonic()
    with pytest.raises(HostError, match=r"blocked; is there a pipe"):
        lab.bring(ask=True)
    assert time.monotonic() - started < PATIENCE
    assert not (lab.home.workspace.parent / "lock").exists()


def test_force_puts_what_was_planted_aside_as_it_is(lab: Lab, victim: Victim) -> None:
    plant(lab.clone / ".git/index", lambda path: path.symlink_to(victim.file))
    plant(lab.clone / "way out", lambda path: path.symlink_to(victim.folder))
    (lab.clone / "a.txt").write_text("work\n")
    news(lab)
    assert lab.bring(force=True) == "new"
    assert victim.is_untouched()
    (kept,) = (path for path in lab.home.workspace.parent.glob("backups/*") if (path / ".git").exists())
    assert (kept / ".git/index").is_symlink() and (kept / "way out").is_symlink()
    assert (kept / "a.txt").read_text() == "work\n"
    assert (lab.clone / ".git/refs/heads/main").read_text().strip() == git(lab.root, "rev-parse", "HEAD")


def test_programs_that_a_clone_names_do_not_run(lab: Lab, victim: Victim) -> None:
    script = f"touch {victim.folder}/ran"
    with (lab.clone / ".git/config").open("a") as file:
        file.write(
            f'[core]\n\tfsmonitor = "{script}"\n\tsshCommand = "{script}"\n\thooksPath = .git/hooks\n'
            f'[filter "x"]\n\tclean = "{script}"\n\tsmudge = "{script}"\n\tprocess = "{script}"\n\trequired\n'
            f"[include]\n\tpath = {victim.file}\n"
        )
    (lab.clone / ".git/info").mkdir(exist_ok=True)
    (lab.clone / ".git/info/attributes").write_text("* filter=x\n")
    hooks = lab.clone / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\n{script}\n")
        (hooks / name).chmod(0o755)
    (lab.clone / "b.txt").write_text("changed\n")
    news(lab)
    lab.bring(ask=True)
    lab.bring(force=True)
    assert victim.is_untouched()


def test_alternates_and_git_files_that_lead_elsewhere_show_nothing_of_the_host(lab: Lab, tmp_path: Path) -> None:
    secret = tmp_path / "other"
    git(tmp_path, "init", "--quiet", str(secret))
    (secret / "key").write_text("secret\n")
    git(secret, "add", "key")
    git(secret, "commit", "--quiet", "--message", "Secret")
    head = git(secret, "rev-parse", "HEAD")
    (lab.clone / ".git/objects/info").mkdir(exist_ok=True)
    (lab.clone / ".git/objects/info/alternates").write_text(f"{secret}/.git/objects\n")
    (lab.clone / ".git/refs/heads/main").write_text(f"{head}\n")
    news(lab)
    (pulled,) = lab.pull()
    assert "key" not in git(lab.root, "ls-tree", "-r", "--name-only", pulled.branch)
    git(lab.root, "branch", "--quiet", "-D", pulled.branch)
    shutil.rmtree(lab.clone / ".git")
    (lab.clone / ".git").write_text(f"gitdir: {secret}/.git\n")
    assert lab.bring(ask=True) == "skipped"
    assert git(lab.root, "branch", "--list", "kamal-dev/*") == ""
    assert git(secret, "tag") == ""


@of_either
def test_nothing_changes_outside_while_everything_is_swapped_all_the_time(lab: Lab, victim: Victim) -> None:
    owner = lab.clone.stat().st_uid
    attacker = subprocess.Popen(
        [sys.executable, "-c", ATTACK, str(lab.clone), str(victim.file), str(victim.folder), str(owner)]
    )
    try:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            started = time.monotonic()
            news(lab)
            for verb in (lambda: lab.bring(ask=True), lab.pull, lambda: lab.bring(force=True)):
                try:
                    verb()
                except HostError as error:
                    assert "defect" not in str(error)
            assert time.monotonic() - started < 3 * PATIENCE
        assert attacker.poll() is None
    finally:
        attacker.kill()
        attacker.wait()
    assert victim.is_untouched()
    assert not (lab.home.workspace.parent / "lock").exists()
    (lab.home.workspace.parent / "releases").mkdir(exist_ok=True)


# Runs as a program in the container does: with the rights of the owner, and nothing of the host in its way but them.
ATTACK = """
import os, random, shutil, sys
clone, file, folder, owner = sys.argv[1:]
os.chdir(clone); os.setgid(int(owner)); os.setuid(int(owner))
names = ["index", "HEAD", "config", "shallow", "packed-refs", "refs", "refs/tags", "refs/heads", "logs", "logs/HEAD",
         "objects/info", "objects/pack", "info", "info/exclude", "", "../a.txt", "../b.txt", "../sub", "index.lock"]
while True:
    name = ".git/" + random.choice(names)
    name = name.rstrip("/")
    kept = name.replace("/", "_") + ".kept"
    try:
        os.rename(name, kept)
        what = random.randrange(3)
        os.mkfifo(name) if what == 2 else os.symlink((file, folder)[what], name)
        os.unlink(name) or os.rename(kept, name)
    except OSError:
        try: os.path.lexists(kept) and not os.path.lexists(name) and os.rename(kept, name)
        except OSError: pass
"""


# --- deadlines, locks, power


# What runs confined is watched from outside; the others have their stdin from `dev`, and end with it.
CONFINED = {"jail.sh", "folders.sh", "handover.sh", "unpack.sh", "swap.sh", "copy.sh"}
FED = {"environment.sh", "load.sh", "save.sh"}


def test_every_script_of_a_host_has_a_deadline_and_ends_with_its_caller() -> None:
    watched = (SCRIPTS / "lib.sh").read_text()
    assert "watch_callers &" in watched and "script_within=" in watched
    for path in SCRIPTS.glob("*.sh"):
        text = path.read_text()
        if text.startswith("#!/bin/sh") and path.name not in CONFINED | FED:
            assert '. "$here/lib.sh"' in text or '. "${0%/*}/lib.sh"' in text, path.name


def start(lab: Lab, folder: Path) -> subprocess.Popen[bytes]:
    """Start what a deploy runs on the host, as sshd does: in a session of its own, below that of the connection."""
    run = lab.run()
    workspace = Workspace(run.project, run.tools, run.connections)
    packed = workspace.clone.packed(())
    files, packs = (*payload.performed("ann"), *packed.files), [pack.frames for pack in packed.packs]
    feed = folder / "feed"
    feed.write_bytes(b"".join(commands.stream(run.scripts, commands.SENT, files, packs)))
    step = commands.bring(run.scripts, STACK, workspace.folder)
    run.close()
    connection = (
        "import subprocess, sys; "
        "subprocess.Popen(sys.argv[2:], stdin=open(sys.argv[1], 'rb'), start_new_session=True).wait()"
    )
    environment = {"HOME": str(lab.home.path), "PATH": os.environ["PATH"]}
    return subprocess.Popen([sys.executable, "-c", connection, feed, *step.argv], env=environment)


def test_a_script_ends_with_the_connection_and_its_lock_with_it(lab: Lab, tmp_path: Path) -> None:
    git(lab.root, "init", "--quiet", str(lab.clone / "inner"))
    plant(lab.clone / "inner/.git/HEAD", os.mkfifo)
    news(lab)
    lock = lab.home.workspace.parent / "lock"
    connection = start(lab, tmp_path)
    wait_for((lock / "owner").exists)
    connection.kill()
    connection.wait()
    wait_for(lambda: not lock.exists(), seconds=12)
    (lab.clone / "inner/.git/HEAD").unlink()
    assert lab.bring(ask=True) == "moved"


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Ask again and again until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_two_that_fill_the_same_workspace_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make(tmp_path, monkeypatch)
    lab.commit({"config/dev.yml": "service: blog\nworkspace: {source: sync}\n"})
    with ThreadPoolExecutor() as pool:
        states = list(pool.map(lambda _: lab.bring(), range(3)))
    assert sorted(states) == ["new", "skipped", "skipped"]
    assert (lab.clone / "a.txt").read_text() == "one\n"


def locked(home: Path, before: str) -> str:
    """Take the lock of a stack in a shell where something was done before; returns what it said."""
    script = f"""
        here={SCRIPTS}; . $here/lib.sh; . $here/stack.sh; . $here/audit.sh; . $here/lock.sh
        use_stack x-1; mkdir -p "$home"; {before}
        lock_stack test; echo taken"""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False).stdout


def test_a_lock_is_written_whole_or_not_taken(tmp_path: Path) -> None:
    # As on a full disk: no file can be written.
    said = locked(tmp_path, "trap '' XFSZ; ulimit -f 0")
    assert "taken" not in said and "is the disk full?" in said and '"phase":"locking"' in said
    assert not (tmp_path / ".kamal-dev/x-1/lock").exists()


def test_a_lock_names_the_reason_that_it_could_not_be_written_for(tmp_path: Path) -> None:
    read_only = '[ "$1" != probe ] || { printf "Read-only file system" >&2; return 1; }'
    said = locked(tmp_path, f'mkdir() {{ false; }}; echo() {{ {read_only}; command echo "$@"; }}')
    assert '"phase":"locking"' in said and f"{tmp_path}/.kamal-dev/x-1 is on a read-only file system" in said


def test_a_host_without_flock_is_told_once_and_not_asked_again(tmp_path: Path) -> None:
    said = locked(tmp_path, 'command() { [ "$2" != flock ]; }')
    assert "taken" not in said and "locking needs `flock`" in said and '"phase":"locking"' in said


def test_an_owner_or_a_beat_that_the_power_took_is_that_of_a_dead_one(tmp_path: Path) -> None:
    lock = tmp_path / ".kamal-dev/x-1/lock"
    lock.mkdir(parents=True)
    (lock / "owner").touch()
    (lock / "beat").touch()
    assert "taken" in locked(tmp_path, ":")


def test_a_record_that_the_power_took_heals_with_the_next_deploy(lab: Lab) -> None:
    for content in ("", '{"kind": "git", "par'):
        (lab.home.workspace.parent / "source/state").write_text(content)
        news(lab)
        assert lab.bring() == "moved"
        assert lab.bring() == "same"


# --- what a host answers


class Lying(Home):
    """A host whose answer to `dev pull` is made up."""

    answer: bytes = b""

    def receive(
        self, step: Step, take: Callable[[bytes], object], *, feed: Iterator[bytes], timeout: float | None = None
    ) -> Result:
        """Answer with what was made up."""
        take(self.answer)
        return Result(step, 0, "", "")


def boxes(**members: str | bytes) -> bytes:
    """Return a tar as collect.sh prints it, with one part."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(f"./parts/0000/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A repository, and a host that lies."""
    lab = make(tmp_path, monkeypatch)
    lab.home = Lying(lab.home.path)
    return lab


def test_a_host_cannot_fill_the_disk_with_what_is_pulled(here: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=30_000))
    assert isinstance(here.home, Lying)
    here.home.answer = bytes(10_001)
    with pytest.raises(HostError, match="are larger than"):
        here.pull()
    assert not list((here.root / ".kamal").rglob("answer"))


def test_a_sparse_file_is_no_bundle(here: Lab, tmp_path: Path) -> None:
    (tmp_path / "parts/0000").mkdir(parents=True)
    with (tmp_path / "parts/0000/bundle").open("wb") as file:
        file.truncate(1 << 40)
    archive = ("tar", "--create", "--sparse", "--directory", str(tmp_path), "parts")
    assert isinstance(here.home, Lying)
    here.home.answer = subprocess.run(archive, check=True, capture_output=True).stdout
    with pytest.raises(HostError, match="not an archive of commits"):
        here.pull()


def test_a_commit_that_a_host_names_is_a_hash_or_refused(here: Lab, tmp_path: Path) -> None:
    head, victim = git(here.root, "rev-parse", "HEAD"), tmp_path / "bashrc"
    victim.write_text("mine\n")
    git(here.root, "bundle", "create", "--quiet", str(tmp_path / "bundle"), "HEAD")
    bundle = (tmp_path / "bundle").read_bytes()
    option = f"--output={victim}"
    lies: dict[str, dict[str, str | bytes]] = {
        "an option as since": {"path": "", "tip": head, "sent": option, "bundle": bundle},
        "an option as tip": {"path": "", "tip": option, "sent": head, "bundle": bundle},
        "a name as tip": {"path": "", "tip": "main", "sent": "", "bundle": bundle},
        "nothing as tip": {"path": "", "tip": "", "sent": "", "bundle": bundle},
        "another commit": {"path": "", "tip": "1" * 40, "sent": "", "bundle": bundle},
        "a path outside": {"path": "../host", "tip": head, "sent": "", "bundle": bundle},
        "an absolute path": {"path": "/etc", "tip": head, "sent": "", "bundle": bundle},
        "no bundle": {"path": "", "tip": head, "sent": ""},
        "no part": {},
        "an endless name": {"path": "", "tip": "a" * (1 << 20), "sent": "", "bundle": bundle},
    }
    for what, members in lies.items():
        assert isinstance(here.home, Lying)
        here.home.answer = boxes(**members)
        if what == "no part":
            assert here.pull() == ()
            continue
        with pytest.raises(DevError):
            here.pull()
        assert victim.read_text() == "mine\n", what
        assert git(here.root, "branch", "--list", "kamal-dev/*") == "", what
    here.home.answer = b"\x1b]0;owned\x07 no tar at all"
    with pytest.raises(HostError, match="not an archive of commits"):
        here.pull()


def test_a_record_of_a_host_is_data_and_no_word_of_a_command(here: Lab) -> None:
    records: tuple[object, ...] = (
        {"kind": "git", "state": "x", "parts": {"": ["--batch", "", "--output=x", "x\n--all", "", ""]}},
        {"kind": "git", "state": [], "parts": {"": "text"}},
        {"kind": "git", "parts": {"": [1, 2, 3, 4, 5, 6]}},
        {"kind": "git", "parts": ["a", "b"]},
        "text",
        [],
        7,
    )
    for record in records:
        line = json.dumps({"type": "facts", "cpus": 1, "workspace": ["blog"], "source": record})
        facts = answers.facts(line) or Facts()
        run = here.run()
        clone = Clone(run.project, run.tools, run.project.withheld)
        assert not clone.was_sent(facts.source), record
        assert all(not (known.commits or known.trees) for known in clone.known(facts)), record
        run.close()


def test_an_event_of_another_shape_than_agreed_is_no_event() -> None:
    for line in (
        '{"type":"result","ok":"yes","reason":["a"]}',
        '{"type":"container","service":1}',
        '{"type":"facts","cpus":"many","memory":{}}',
        '{"type":"stack","stack":"x","lock":{"pid":"$(reboot)"}}',
        '{"type":"place","id":7,"pid":[]}',
        '{"type":["result"]}',
        '{"type":null}',
    ):
        assert answers.event(line) is None, line


# --- what reaches the terminal


HOSTILE_TEXTS = {
    "\x1b[2J\x1b[1;1Hgone": "gone",
    "\x1b]0;title\x07x\x1b]8;;https://evil\x1b\\link": "xlink",
    "\x9b31mred\x9d0;t\x9c": "red",
    "over\rwritten\x08\x7f": "overwritten",
    "abc\u202egpj.exe\u2066\u200f": "abcgpj.exe",
    "cut \x1b[": "cut ",
    "\x1bPq payload\x1b\\after": "after",
    "é ü 漢字 ✓ 👍": "é ü 漢字 ✓ 👍",
}


def test_nothing_that_a_terminal_obeys_gets_there_from_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[Event] = []
    output = Output(shown.append, verbose=True)
    for text, expected in HOSTILE_TEXTS.items():
        for say in (output.start, output.done, output.skip):
            say("deploying", text, text, message=text)
        output.fail("deploying", HostError(text, text, hint=text, left_behind=text), Host(text, text), log=[text])
        output.line("hook", text, text)
        for tell in (output.warn, output.info):
            tell(text, hint=text)
        output.step(text)
        texts = {line for event in shown for line in (event.subject, event.message, event.hint, *event.log)}
        assert texts <= {" ".join(expected.splitlines()), *expected.splitlines(), ""}
        assert {name for event in shown for name in (event.stack, event.host)} <= {expected, ""}
        shown.clear()
        exit_code = guarded(failing(HostError(text, text, hint=text, left_behind=text)), [])
        said = capsys.readouterr().err
        assert exit_code == 1 and expected in said
        assert printable(said) == said


def test_a_line_of_a_host_cannot_pass_for_another_message() -> None:
    shown: list[Event] = []
    Output(shown.append).info("it failed\n✓ Deployed\u2028✓ 1 of 1")
    assert render(shown[0]).splitlines() == [render(shown[0])]


def test_a_secret_that_is_taken_apart_by_control_characters_stays_one() -> None:
    output = Output(lambda _: None)
    output.redaction.add(Secret("hunter22secret"))
    assert output.clean("hunter\x1b[0m22sec\x00ret") == "[redacted]"


def failing(error: Exception) -> click.Command:
    """Return a command that fails."""

    @click.command()
    def command() -> None:
        raise error

    return command


# --- what a repository brings along


VERBS = (["list"], ["deploy", "--yes"], ["open", "blog-1"], ["sync", "blog-1"], ["doctor"], ["init", "--force"])
FILES_OF_OURS = ("state.json", "known_hosts", "audit.log", "source.git", "source.git/lock", ".gitignore")


def linked(name: str, target: Path, root: Path) -> None:
    """Make a project whose repository has a link at `name`."""
    write(root, {"config/dev.yml": CONFIG, ".devcontainer/devcontainer.json": '{"image": "debian:12"}\n'})
    git(root, "init", "--quiet")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(target)


@pytest.mark.parametrize("name", [".kamal", ".kamal/local"])
def test_a_private_folder_that_is_a_link_out_of_the_repository_is_refused_by_every_verb(
    name: str, tmp_path: Path
) -> None:
    root, outside = tmp_path / "blog", tmp_path / "outside"
    outside.mkdir()
    linked(name, outside, root)
    before = sorted(root.rglob("*"))
    for verb in VERBS:
        said = dev.run(tuple(verb), cwd=root, env=os.environ)
        assert said.returncode == (1 if verb == ["doctor"] else 2), (verb, said)
        assert f"`{name}` is a link to" in said.stdout + said.stderr, (verb, said)
    assert not list(outside.iterdir())
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("name", FILES_OF_OURS)
def test_a_link_in_the_private_folder_is_none_of_ours(name: str, tmp_path: Path) -> None:
    linked(f".kamal/local/{name}", tmp_path / "outside", tmp_path / "blog")
    with pytest.raises(UsageError, match="is a link to"):
        private(tmp_path / "blog")
    assert not (tmp_path / "outside").exists()


def test_a_link_inside_the_repository_is_the_users_own_affair(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "shared/local").mkdir(parents=True)
    (tmp_path / ".kamal").symlink_to("shared")
    assert (private(tmp_path) / ".gitignore").exists()


@pytest.mark.parametrize("name", ["config", ".gitignore", ".kamal/dev.schema.json"])
def test_init_writes_through_no_link_out_of_the_repository(name: str, tmp_path: Path) -> None:
    root, outside = tmp_path / "blog", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    git(root, "init", "--quiet")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(outside if name == "config" else outside / "file")
    with pytest.raises(UsageError, match="is a link"):
        init(root, Output(lambda _: None), config_path=None, devcontainer_path=None, force=False)
    assert not list(outside.iterdir())

"""A workspace is hostile territory.

Everything that people and their programs can write is untrusted input: the workspace, its `.git`,
the names in it, what a host answers, and what a repository brings along. Whatever they plant
there, and whenever they swap it, nothing outside the workspace changes on the host, nothing but a
branch changes here, no verb waits for ever, and nobody's terminal is written to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kamal_dev.errors import HostError
from tests.workspace.conftest import make
from tests.workspace.lab import Lab, git

STRANGER = 1500
OWNERS = (STRANGER, 0) if os.getuid() == 0 else (os.getuid(),)
PATIENCE = 60.0

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


@pytest.fixture(params=OWNERS)
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A workspace that was sent once, and that people own by now."""
    lab = make(tmp_path, monkeypatch)
    lab.bring()
    give(lab.home.workspace, request.param)
    return lab


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path / "host")


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


def test_no_link_in_a_git_folder_leads_out_of_the_workspace(
    lab: Lab, victim: Victim, pristine: Callable[[], None]
) -> None:
    news(lab)
    for name in FILES + FOLDERS:
        target = victim.folder if name in FOLDERS else victim.file
        plant(lab.clone / ".git" / name, lambda path, target=target: path.symlink_to(target))  # type: ignore[misc]
        state = lab.bring(ask=True)
        assert victim.is_untouched(), name
        if state == "left":
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
        assert lab.bring(ask=True) == "left", name
        assert "is in the way" in "".join(lab.said) or name == "HEAD", lab.said
        with pytest.raises(HostError):
            lab.pull()
        assert time.monotonic() - started < PATIENCE
        assert not (lab.home.workspace.parent / "lock").exists()
        pristine()


def test_what_waits_where_nobody_looked_is_ended_and_the_lock_with_it(lab: Lab) -> None:
    # git looks into folders that seem to be repositories, whoever made them.
    inner = lab.clone / "inner"
    git(lab.root, "init", "--quiet", str(inner))
    plant(inner / ".git" / "HEAD", os.mkfifo)
    news(lab)
    started = time.monotonic()
    with pytest.raises(HostError, match=r"waited for something that does not come"):
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
    assert lab.bring(ask=True) == "left"
    assert git(lab.root, "branch", "--list", "kamal-dev/*") == ""
    assert git(secret, "tag") == ""


def test_nothing_changes_outside_while_everything_is_swapped_all_the_time(lab: Lab, victim: Victim) -> None:
    owner = lab.clone.stat().st_uid
    attacker = subprocess.Popen(
        [sys.executable, "-c", ATTACK, str(lab.clone), str(victim.file), str(victim.folder), str(owner)]
    )
    try:
        until = time.monotonic() + 10
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

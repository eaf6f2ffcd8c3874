"""A repository that is not checked out: fetched with the user's credentials, and shared by runs and stacks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kamal_dev.errors import GitFailed, UsageError
from kamal_dev.output import Event, Output
from kamal_dev.project import source
from kamal_dev.project.remote_repository import RemoteRepository
from kamal_dev.project.repository_url import parse
from kamal_dev.shell.local import Local
from tests.gitserver import served
from tests.workspace.lab import git, write

pytestmark = pytest.mark.usefixtures("own_settings")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The repository, with a branch, a tag and a pull request."""
    there = tmp_path / "srv/blog"
    there.mkdir(parents=True)
    git(there, "init", "--quiet", "--initial-branch", "trunk")
    commit(there, "one\n")
    git(there, "tag", "v1")
    git(there, "branch", "feature/x")
    commit(there, "pull request\n")
    git(there, "update-ref", "refs/pull/7/head", "HEAD")
    git(there, "reset", "--quiet", "--hard", "v1")
    commit(there, "two\n")
    return there


def commit(folder: Path, text: str) -> str:
    write(folder, {"a.txt": text})
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", text)
    return git(folder, "rev-parse", "HEAD")


class Messages(list[str]):
    def __call__(self, event: Event) -> None:
        self.append(f"{event.status}: {event.message}")


def repository(word: str, messages: Messages | None = None) -> RemoteRepository:
    output = Output(messages if messages is not None else Messages(), verbose=True)
    made = RemoteRepository(parse(word, Path.cwd()), output, os.environ)
    made.refresh()
    return made


@contextmanager
def checked_out(word: str, messages: Messages | None = None) -> Iterator[Path]:
    made = repository(word, messages)
    revision = made.resolve()
    with made.checked_out(revision) as folder:
        yield folder


def content(word: str) -> str:
    with checked_out(word) as folder:
        found = source.read(folder, Local()).version
        assert (found.text, found.is_dirty) == (git(folder, "rev-parse", "HEAD"), False)
        return (folder / "a.txt").read_text()


def test_each_kind_of_reference_is_found(there: Path) -> None:
    sha = git(there, "rev-parse", "v1")
    texts = {ref: content(f"file://{there}{ref}") for ref in ("", "@feature/x", "@v1", f"@{sha}", f"@{sha[:8]}")}
    assert texts == {"": "two\n", "@feature/x": "one\n", "@v1": "one\n", f"@{sha}": "one\n", f"@{sha[:8]}": "one\n"}


def test_the_workspace_gets_the_branch_that_follows_the_remote(there: Path) -> None:
    with checked_out(f"file://{there}") as folder:
        assert folder.name == "blog"
        assert git(folder, "rev-parse", "--abbrev-ref", "HEAD", "@{upstream}").split() == ["trunk", "origin/trunk"]
        assert git(folder, "remote", "get-url", "origin") == f"file://{there}"
        assert git(folder, "log", "--format=%s") == "two\none"


def test_a_pull_request_is_the_source_of_a_stack_only(there: Path) -> None:
    made = repository(f"{there}@pr/7")
    # What decides about hosts and hooks is not what the pull request changes.
    assert made.resolve().ref == "trunk"
    with made.checkouts.using("blog-pr-7", made.checkouts.resolve("pr/7"), print) as checkout:
        assert (checkout.folder / "a.txt").read_text() == "pull request\n"


def test_it_is_fetched_each_time_and_follows_its_branches(there: Path) -> None:
    messages = Messages()
    with checked_out(f"file://{there}", messages) as before:
        pass
    assert any("Fetching" in message for message in messages)
    messages.clear()
    with checked_out(f"file://{there}", messages) as again:
        assert again == before
    assert not any("Fetching" in message for message in messages)
    newer = commit(there, "three\n")
    git(there, "branch", "--delete", "--force", "feature/x")
    git(there, "branch", "--quiet", "feature/x/y")
    with checked_out(f"file://{there}") as folder:
        assert git(folder, "rev-parse", "HEAD") == newer
        # Nobody uses the older one.
        assert not before.exists()
    with pytest.raises(UsageError, match="no branch, tag or commit `feature/z`") as caught:
        content(f"file://{there}@feature/z")
    assert "did you mean `feature/x/y`" in caught.value.hint


def test_a_checkout_that_another_run_uses_is_neither_changed_nor_deleted(there: Path) -> None:
    with checked_out(f"file://{there}") as first:
        (first / "written").touch()
        with checked_out(f"file://{there}") as second:
            assert second == first
            assert (second / "written").exists()
        commit(there, "three\n")
        with checked_out(f"file://{there}") as third:
            assert third != first
            assert first.is_dir()
        git(there, "reset", "--quiet", "--hard", "HEAD~1")
    with checked_out(f"file://{there}") as again:
        assert not (again / "written").exists()


def test_a_checkout_that_git_cannot_use_is_made_again(there: Path) -> None:
    with checked_out(f"file://{there}") as folder:
        pass
    (folder / ".git/index").write_bytes(b"broken")
    assert content(f"file://{there}") == "two\n"
    bare = next((there.parents[1] / "cache").rglob("blog.git"))
    (bare / "HEAD").unlink()
    assert content(f"file://{there}") == "two\n"


def test_submodules_come_along_also_with_relative_urls(there: Path, tmp_path: Path) -> None:
    deep, lib = tmp_path / "srv/deep", tmp_path / "srv/lib"
    for folder in (deep, lib):
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch", "main")
        commit(folder, f"{folder.name}\n")
    git(lib, "submodule", "--quiet", "add", "../deep", "in/deep")
    git(lib, "commit", "--quiet", "--message", "Deep")
    git(there, "submodule", "--quiet", "add", "--name", "its-name", "../lib", "lib")
    git(there, "submodule", "--quiet", "add", "../deep", "gone")
    git(there, "config", "--file", ".gitmodules", "submodule.gone.url", "../nowhere")
    git(there, "commit", "--quiet", "--all", "--message", "Modules")
    messages = Messages()
    with checked_out(str(there), messages) as folder:
        assert (folder / "lib/a.txt").read_text() == "lib\n"
        assert (folder / "lib/in/deep/a.txt").read_text() == "deep\n"
        assert list((folder / "gone").iterdir()) == []
    assert any("submodule `gone` could not be fetched" in message for message in messages)
    newer = commit(lib, "newer\n")
    git(there, "update-index", "--cacheinfo", f"160000,{newer},lib")
    git(there, "commit", "--quiet", "--message", "Newer")
    with checked_out(str(there)) as folder:
        assert (folder / "lib/a.txt").read_text() == "newer\n"


def test_a_submodule_cannot_read_files_of_this_machine(there: Path, tmp_path: Path) -> None:
    """As in git, since a repository chooses the address (CVE-2022-39253)."""
    private = tmp_path / "private"
    private.mkdir()
    git(private, "init", "--quiet")
    commit(private, "private\n")
    git(there, "submodule", "--quiet", "add", str(private), "lib")
    git(there, "submodule", "--quiet", "add", "--name", "named", str(private), "other")
    git(there, "config", "--file", ".gitmodules", "submodule.named.url", f"ext::sh -c touch% {tmp_path}/ran")
    git(there, "commit", "--quiet", "--all", "--message", "Hostile")
    (tmp_path / "gitconfig").write_text("")
    messages = Messages()
    with checked_out(f"file://{there}", messages) as folder:
        assert list((folder / "lib").iterdir()) == []
    assert sum("could not be fetched" in message for message in messages) == 2
    assert not (tmp_path / "ran").exists()


# --- access


def test_credentials_in_the_url_are_used_and_kept_nowhere(there: Path, tmp_path: Path) -> None:
    store = tmp_path / "credentials"
    subprocess.run(["git", "config", "--global", "credential.helper", f"store --file={store}"], check=True)
    messages = Messages()
    with served(there.parent, "ann:t0ken@word") as address:
        word = address.replace("//", "//ann:t0ken%40word@") + "/blog"
        with checked_out(word, messages) as folder:
            assert (folder / "a.txt").read_text() == "two\n"
            assert git(folder, "remote", "get-url", "origin") == f"{address}/blog"
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and b"t0ken" in path.read_bytes()]
    assert kept == []
    assert not store.exists()
    assert "t0ken" not in "\n".join(messages)


def test_the_users_own_credentials_are_used(there: Path, tmp_path: Path) -> None:
    with served(there.parent, "ann:t0ken") as address:
        (tmp_path / "credentials").write_text(address.replace("//", "//ann:t0ken@") + "\n")
        helper = f"store --file={tmp_path / 'credentials'}"
        subprocess.run(["git", "config", "--global", "credential.helper", helper], check=True)
        assert content(f"{address}/blog@v1") == "one\n"


@pytest.mark.parametrize(
    ("login", "helper", "hint"),
    [
        ("", "", "git has no credential helper"),
        ("ann:wrong@", "", "git used the credentials in the URL, of the user `ann`"),
        ("", "!f() { echo username=ann; echo password=wr0ng; }; f", "git asked the credential helper"),
    ],
)
def test_no_access_says_which_credentials_were_used(there: Path, login: str, helper: str, hint: str) -> None:
    if helper:
        subprocess.run(["git", "config", "--global", "credential.helper", helper], check=True)
    with served(there.parent, "ann:t0ken") as address, pytest.raises(GitFailed, match="no access to http") as caught:
        repository(f"{address.replace('//', f'//{login}')}/blog")
    assert hint in caught.value.hint
    assert "wrong" not in f"{caught.value}{caught.value.hint}"


def test_no_repository_is_an_error_with_gits_words(there: Path, tmp_path: Path) -> None:
    with served(there.parent) as address, pytest.raises(GitFailed, match="there is no repository at http") as caught:
        repository(f"{address}/nothing")
    assert "a private repository looks the same" in caught.value.hint
    with pytest.raises(GitFailed, match=r"there is no repository at .*: fatal: .*does not appear to be a git repo"):
        repository(f"file://{tmp_path}")


def test_without_a_network_the_copy_is_used_with_its_age(there: Path) -> None:
    with served(there.parent) as address:
        assert content(f"{address}/blog") == "two\n"
    messages = Messages()
    stamp = next((there.parents[1] / "cache").rglob("kamal-dev-fetched"))
    os.utime(stamp, (stamp.stat().st_mtime - 7300,) * 2)
    with checked_out(f"{address}/blog", messages) as folder:
        assert (folder / "a.txt").read_text() == "two\n"
    assert any("does not answer: using the copy that was fetched 2 hours ago" in message for message in messages)
    with pytest.raises(GitFailed, match=r"does not answer: fatal: .*onnect"):
        repository(f"{address}/other")

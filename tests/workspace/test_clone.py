"""What arrives on a host is a clone, and is what is here."""

from __future__ import annotations

from tests.workspace.lab import Lab, git, tree


def test_the_first_time_makes_a_clone_with_history_branch_and_changes(lab: Lab) -> None:
    lab.commit({"a.txt": "newer\n"}, "Second")
    git(lab.root, "mv", "b.txt", "moved name.txt")
    (lab.root / "run.sh").chmod(0o755)
    lab.write(
        {
            "a.txt": "not committed\n",
            "new\nline ü.txt": "untracked\n",
            "ignored.log": "stays here\n",
            "crlf.txt": b"a\r\nb",
        }
    )
    (lab.root / "link").symlink_to("a.txt")
    (lab.root / "gone.txt").write_text("x")
    git(lab.root, "add", "gone.txt")
    (lab.root / "gone.txt").unlink()

    assert lab.bring() == "new"

    here = tree(lab.root)
    here.pop("ignored.log")
    assert tree(lab.clone) == here
    for words in (
        ("status", "--porcelain", "-z", "--untracked-files=all"),
        ("log", "--oneline"),
        ("symbolic-ref", "HEAD"),
    ):
        assert git(lab.clone, *words) == git(lab.root, *words)
    git(lab.clone, "fsck", "--strict")
    assert lab.home.steps == ["workspace blog-1 blog"]

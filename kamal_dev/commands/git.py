"""Git command lines. Builds steps; runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from kamal_dev.model import Step
from kamal_dev.values import dataclass

# A tree of gigabytes must not take gigabytes of memory: git would map a whole pack, and hold each file below 512 MB.
WINDOWS = ("-c", "core.packedGitWindowSize=8m", "-c", "core.packedGitLimit=64m", "-c", "core.deltaBaseCacheLimit=16m")
BOUNDED = (*WINDOWS, "-c", "core.bigFileThreshold=32m", "-c", "pack.windowMemory=32m", "-c", "pack.threads=2")
# The highest levels of compression take three times as long for a tenth of the size.
FAST = ("-c", "core.compression=1")
# Large files are compressed before it is known whether they are stored already: then it was for nothing.
STAGING = ("-c", "core.looseCompression=1", "-c", "pack.compression=0")


# What git calls local to a repository (`git rev-parse --local-env-vars`): a hook or a wrapper may have set it for
# another one. Settings given with `git -c` stay, as they do where git itself goes on to a submodule.
LOCAL = """
GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_CONFIG GIT_DIR GIT_GRAFT_FILE GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE
GIT_INTERNAL_SUPER_PREFIX GIT_NO_REPLACE_OBJECTS GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE
GIT_WORK_TREE
"""
# These change what a pattern means.
PATTERNS = "GIT_GLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_LITERAL_PATHSPECS GIT_NOGLOB_PATHSPECS"
ALONE = tuple((name, None) for name in f"{LOCAL} {PATTERNS}".split())
Environment = tuple[tuple[str, str], ...]

# No program is asked which files have changed; it may be wrong, or go on in the background.
WATCHFUL = ("-c", "core.fsmonitor=false")
# A split index would leave its other half in the repository.
WHOLE = ("-c", "core.splitIndex=false")


# Include files outside a sparse checkout, and do not reject files because of their line endings.
PLAIN = ("-c", "core.sparseCheckout=false", "-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false")


@dataclass(frozen=True)
class Aside:
    """Name an index, and a folder for new objects, beside those of a repository: it stays as it is.

    `git_dir` empty is the repository's own; a store has its own, and so its own attributes.
    """

    index: Path
    objects: Path
    known: Path
    git_dir: Path | None = None

    @property
    def environment(self) -> Environment:
        """The variables that git reads them from."""
        own = (("GIT_DIR", str(self.git_dir)), ("GIT_WORK_TREE", ".")) if self.git_dir else ()
        return (
            ("GIT_INDEX_FILE", str(self.index)),
            ("GIT_OBJECT_DIRECTORY", str(self.objects)),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", listed(self.known)),
            *own,
        )


def listed(path: Path) -> str:
    """Return a folder as a list of folders has it: colons part the list, unless quotes are around."""
    text = str(path)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if ":" in text or text.startswith('"') else text


def git(root: Path, *words: str, environment: Environment = (), stdin: Iterable[str] | None = None) -> Step:
    """Return a git step in `root`, and for the repository there alone; it takes no lock and asks no question.

    `stdin` is sent as lines.
    """
    quiet = (("GIT_OPTIONAL_LOCKS", "0"), ("GIT_TERMINAL_PROMPT", "0"))
    lines = None if stdin is None else "".join(f"{line}\n" for line in stdin).encode(errors="surrogateescape")
    return Step(("git", "-C", str(root), *words), environment=(*ALONE, *quiet, *environment), stdin=lines)


def paths(root: Path) -> Step:
    """Ask for the top level, git folder, objects, index, boundary and rules; the last four may be relative."""
    names = ("objects", "index", "shallow", "info/exclude")
    asked = (word for name in names for word in ("--git-path", name))
    return git(root, "rev-parse", "--show-toplevel", "--absolute-git-dir", *asked)


def status(root: Path, environment: Environment = ()) -> Step:
    """List commit, branch and differences from them, including those that settings hide; entries end with NUL."""
    words = ("--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none")
    return git(root, *WATCHFUL, "status", *words, environment=environment)


def entries(root: Path, environment: Environment = ()) -> Step:
    """List an index as `flag mode hash stage TAB path NUL`; a flag other than H is one that hides changes."""
    return git(root, "ls-files", "-v", "--stage", "-z", environment=environment)


def paths_of(root: Path, environment: Environment = (), patterns: Iterable[str] = (), *, tree: str = "") -> Step:
    """List the paths of an index, and of a `tree`, that any of the patterns matches; paths end with NUL."""
    words = (f"--with-tree={tree}",) if tree else ()
    return git(root, "ls-files", "-z", *words, "--", *patterns, environment=environment)


def differing(root: Path, aside: Aside, commit: str) -> Step:
    """List what an index aside has other than a commit, as raw entries that end with NUL."""
    return git(root, "diff-index", "--cached", *RAW, commit, "--", environment=aside.environment)


def between(root: Path, one: str, other: str, environment: Environment = ()) -> Step:
    """List what differs between two commits or trees, as raw entries that end with NUL."""
    return git(root, "diff-tree", "-r", *RAW, one, other, "--", environment=environment)


RAW = ("--raw", "-z", "--no-abbrev", "--no-renames", "--ignore-submodules=none")


def head(root: Path) -> Step:
    """Ask for the commit; fails before the first one."""
    return git(root, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")


def branch(root: Path) -> Step:
    """Ask for the branch as `refs/heads/…`; fails where HEAD is detached."""
    return git(root, "symbolic-ref", "--quiet", "HEAD")


def settings(root: Path) -> Step:
    """List every setting, of all files together, as `name LF value NUL`."""
    return git(root, "config", "-z", "--list")


def email(root: Path) -> Step:
    """Ask for the address that commits are made with; fails where none is set."""
    return Step(("git", "config", "--get", "user.email"), environment=ALONE, cwd=root)


def tags(root: Path) -> Step:
    """List the tags in the history of HEAD, and what they name."""
    return git(root, "for-each-ref", "--merged=HEAD", "--format=%(objectname) %(refname)", "refs/tags")


def resolve(root: Path, name: str) -> Step:
    """Ask what a reference names; fails where there is none."""
    return git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", name)


def files(root: Path) -> Step:
    """List what makes up the tree, tracked or not yet, without what git ignores; paths end with NUL."""
    return git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def committed(root: Path, tree: str = "HEAD") -> Step:
    """List the paths of a commit or tree; paths end with NUL."""
    return git(root, "ls-tree", "-r", "-z", "--name-only", tree)


def tracked_though_ignored(root: Path, environment: Environment = ()) -> Step:
    """List what an index has although git would ignore it; paths end with NUL."""
    return git(root, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard", environment=environment)


def stage(root: Path, aside: Aside, names: Iterable[bytes]) -> Step:
    """Stage what became of these paths, in an index and objects that nobody will keep."""
    flags = ("--add", "--remove", "--replace")
    words = (*BOUNDED, "-c", "core.compression=0", *WATCHFUL, *PLAIN, *WHOLE, "update-index", "-z", *flags, "--stdin")
    step = git(root, *words, environment=aside.environment)
    return replace(step, stdin=b"".join(name + b"\0" for name in names))


def update_index(
    root: Path, aside: Aside, words: Iterable[str], names: Iterable[bytes], *, given: str = "--stdin"
) -> Step:
    """Change what an index aside has of these paths; `given` as `--index-info`, of paths with mode and hash."""
    step = git(root, *WHOLE, "update-index", "-z", *words, given, environment=aside.environment)
    return replace(step, stdin=b"".join(name + b"\0" for name in names))


def stage_all(root: Path, aside: Aside) -> Step:
    """Stage the whole tree aside."""
    words = (*BOUNDED, *STAGING, *WATCHFUL, *PLAIN, *WHOLE, "add", "--all", ".")
    return git(root, *words, environment=aside.environment)


def write_tree(root: Path, aside: Aside) -> Step:
    """Print the hash of what an index aside has: equal content, equal hash."""
    return git(root, *WHOLE, "write-tree", environment=aside.environment)


def exists(root: Path, aside: Aside, name: str) -> Step:
    """Whether an object is there."""
    return git(root, "cat-file", "-e", "--end-of-options", name, environment=aside.environment)


def pack(root: Path, aside: Aside, names: Iterable[str], known: Iterable[str], *, is_compressed: bool = True) -> Step:
    """Print a pack of these commits and trees, without what `known` (trees, or commits with their history) have.

    Not `is_compressed` is for what would stay as large as it is.
    """
    lines = (*names, *(f"^{name}" for name in known))
    words = ("pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset")
    level = FAST if is_compressed else ("-c", "pack.compression=0")
    return git(root, *BOUNDED, *level, *words, environment=aside.environment, stdin=lines)


def prune(root: Path, store: Path) -> Step:
    """Forget objects of a store that no snapshot of the last two weeks had; its packs hold files beyond 512 MB."""
    return git(root, f"--git-dir={store}", *BOUNDED, *FAST, "gc", "--quiet", "--prune=2.weeks.ago")


def named(root: Path, bundle: Path, name: str) -> Step:
    """Ask which commit a bundle has under a name; prints both."""
    return git(root, "bundle", "list-heads", str(bundle), name)


def take(root: Path, bundle: Path, name: str) -> Step:
    """Take the objects of a bundle, after checking that nothing is missing; no reference changes."""
    return git(root, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--end-of-options", str(bundle), name)


def point(root: Path, branch: str, commit: str) -> Step:
    """Make or move a branch; fails for one that a worktree has checked out, or is in the middle of a rebase of."""
    return git(root, "branch", "--force", "--no-track", "--create-reflog", "--end-of-options", branch, commit)


def is_ancestor(root: Path, one: str, other: str) -> Step:
    """Whether the history of `other` has `one`."""
    return git(root, "merge-base", "--is-ancestor", "--end-of-options", one, other)


def summary(root: Path, since: str, until: str) -> Step:
    """Say in one line how much differs between two commits."""
    return git(root, "diff", "--shortstat", "--end-of-options", since, until, "--")

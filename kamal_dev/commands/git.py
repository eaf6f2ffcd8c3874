"""Git command lines. Builds steps; runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from kamal_dev.model import Step
from kamal_dev.values import dataclass

# By default git maps a whole pack into memory and loads each file below 512 MB: gigabytes for a tree of gigabytes.
WINDOWS = ("-c", "core.packedGitWindowSize=4m", "-c", "core.packedGitLimit=32m", "-c", "core.deltaBaseCacheLimit=16m")
BOUNDED = (*WINDOWS, "-c", "core.bigFileThreshold=32m", "-c", "pack.windowMemory=32m", "-c", "pack.threads=2")
# The highest compression levels take three times as long for a tenth less.
FAST = ("-c", "core.compression=1")
# git compresses large files before it knows whether they are already stored, often for nothing.
STAGING = ("-c", "core.looseCompression=1", "-c", "pack.compression=0")
UNCOMPRESSED = ("-c", "core.compression=0")


# Variables that git calls local to a repository (`git rev-parse --local-env-vars`): a hook or a wrapper may have set
# them for another one. Settings given with `git -c` are kept, as git does when it enters a submodule.
LOCAL = """
GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_CONFIG GIT_DIR GIT_GRAFT_FILE GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE
GIT_INTERNAL_SUPER_PREFIX GIT_NO_REPLACE_OBJECTS GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE
GIT_WORK_TREE
"""
# These change what a pattern means.
PATTERNS = "GIT_GLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_LITERAL_PATHSPECS GIT_NOGLOB_PATHSPECS"
ALONE = tuple((name, None) for name in f"{LOCAL} {PATTERNS}".split())
Environment = tuple[tuple[str, str], ...]

# The fsmonitor is not asked which files have changed: it may be wrong, or keep running in the background.
WATCHFUL = ("-c", "core.fsmonitor=false")
# A split index would keep its other half in the repository.
WHOLE = ("-c", "core.splitIndex=false")


# Include files outside a sparse checkout, and do not reject files because of their line endings.
PLAIN = ("-c", "core.sparseCheckout=false", "-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false")


@dataclass(frozen=True)
class Aside:
    """Hold an index, and a folder for new objects, apart from those of a repository, which is not changed.

    An empty `git_dir` means the repository's own; a store has its own git folder, and so its own attributes.
    """

    index: Path
    objects: Path
    known: Path
    git_dir: Path | None = None

    @property
    def environment(self) -> Environment:
        """The environment variables for git."""
        own = (("GIT_DIR", str(self.git_dir)), ("GIT_WORK_TREE", ".")) if self.git_dir else ()
        return (
            ("GIT_INDEX_FILE", str(self.index)),
            ("GIT_OBJECT_DIRECTORY", str(self.objects)),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", listed(self.known)),
            *own,
        )


def listed(path: Path) -> str:
    """Quote a folder for a colon-separated list."""
    text = str(path)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if ":" in text or text.startswith('"') else text


def git(root: Path, *words: str, environment: Environment = (), stdin: Iterable[str] | None = None) -> Step:
    """Return a git step in `root` for that repository only; it takes no lock and prompts for nothing.

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
    """List an index as `flag mode hash stage TAB path NUL`; a flag other than H hides changes."""
    return git(root, "ls-files", "-v", "--stage", "-z", environment=environment)


def paths_of(root: Path, environment: Environment = (), patterns: Iterable[str] = (), *, tree: str = "") -> Step:
    """List the paths of an index, and of a `tree`, that match any of the patterns; paths end with NUL."""
    words = (f"--with-tree={tree}",) if tree else ()
    return git(root, "ls-files", "-z", *words, "--", *patterns, environment=environment)


def differing(root: Path, aside: Aside, commit: str) -> Step:
    """List how a separate index differs from a commit, as raw entries that end with NUL."""
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
    """Ask for the address that commits are made with; fails if none is set."""
    return Step(("git", "config", "--get", "user.email"), environment=ALONE, cwd=root)


def tags(root: Path) -> Step:
    """List the tags in the history of HEAD, and the commits they point to."""
    return git(root, "for-each-ref", "--merged=HEAD", "--format=%(objectname) %(refname)", "refs/tags")


def resolve(root: Path, name: str) -> Step:
    """Resolve a reference; fails if it does not exist."""
    return git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", name)


def files(root: Path) -> Step:
    """List the files of the tree, tracked or not yet, without ignored ones; paths end with NUL."""
    return git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def untracked(root: Path, path: Path) -> Step:
    """List the path if it is not tracked and not ignored."""
    return git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", f":(literal){path}")


def committed(root: Path, tree: str, environment: Environment) -> Step:
    """List the paths of a tree; paths end with NUL."""
    return git(root, "ls-tree", "-r", "-z", "--name-only", tree, environment=environment)


def tracked_though_ignored(root: Path, environment: Environment = ()) -> Step:
    """List the files in an index that git would ignore; paths end with NUL."""
    return git(root, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard", environment=environment)


def stage(root: Path, aside: Aside, names: Iterable[bytes], *, storing: Iterable[str] = UNCOMPRESSED) -> Step:
    """Stage the current state of these paths in a separate index; `storing` is how their objects are written."""
    flags = ("--add", "--remove", "--replace")
    words = (*BOUNDED, *storing, *WATCHFUL, *PLAIN, *WHOLE, "update-index", "-z", *flags, "--stdin")
    step = git(root, *words, environment=aside.environment)
    return replace(step, stdin=b"".join(name + b"\0" for name in names))


def update_index(
    root: Path, aside: Aside, words: Iterable[str], names: Iterable[bytes], *, given: str = "--stdin"
) -> Step:
    """Change entries of a separate index; `given` is in the format of `--index-info`: paths with mode and hash."""
    step = git(root, *WHOLE, "update-index", "-z", *words, given, environment=aside.environment)
    return replace(step, stdin=b"".join(name + b"\0" for name in names))


def stage_all(root: Path, aside: Aside) -> Step:
    """Stage the whole tree in a separate index."""
    words = (*BOUNDED, *STAGING, *WATCHFUL, *PLAIN, *WHOLE, "add", "--all", ".")
    return git(root, *words, environment=aside.environment)


def write_tree(root: Path, aside: Aside) -> Step:
    """Print the hash of a separate index's content: equal content, equal hash."""
    return git(root, *WHOLE, "write-tree", environment=aside.environment)


def exists(root: Path, aside: Aside, name: str) -> Step:
    """Check whether an object exists."""
    return git(root, "cat-file", "-e", "--end-of-options", name, environment=aside.environment)


def pack(root: Path, aside: Aside, names: Iterable[str], known: Iterable[str]) -> Step:
    """Print a pack of these commits and trees, without those of `known`: trees, files, commits with history."""
    words = ("pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset", "--no-use-bitmap-index")
    return git(root, *BOUNDED, *FAST, *words, environment=aside.environment, stdin=_revisions(names, known))


def reachable(root: Path, aside: Aside, names: Iterable[str], known: Iterable[str]) -> Step:
    """List the objects that `pack` would print, one per line."""
    words = ("rev-list", "--objects", "--no-object-names", "--missing=allow-any", "--stdin")
    stdin = _revisions(names, known)
    return git(root, "--no-replace-objects", *WINDOWS, *words, environment=aside.environment, stdin=stdin)


def _revisions(names: Iterable[str], known: Iterable[str]) -> Iterable[str]:
    return (*names, *(f"^{name}" for name in known))


def prune(root: Path, store: Path) -> Step:
    """Delete objects of a store that were in no snapshot of the last two weeks; its packs hold files beyond 512 MB."""
    return git(root, f"--git-dir={store}", *BOUNDED, *FAST, "gc", "--quiet", "--prune=2.weeks.ago")


def named(root: Path, bundle: Path, name: str) -> Step:
    """Ask for the commit with a name in a bundle; prints both."""
    return git(root, "bundle", "list-heads", str(bundle), name)


def take(root: Path, bundle: Path, name: str) -> Step:
    """Import the objects of a bundle, after checking that nothing is missing; changes no reference."""
    return git(root, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--end-of-options", str(bundle), name)


def point(root: Path, branch: str, commit: str) -> Step:
    """Create or move a branch; fails if a worktree has it checked out or is rebasing it."""
    return git(root, "branch", "--force", "--no-track", "--create-reflog", "--end-of-options", branch, commit)


def is_ancestor(root: Path, one: str, other: str) -> Step:
    """Check whether the history of `other` contains `one`."""
    return git(root, "merge-base", "--is-ancestor", "--end-of-options", one, other)


def summary(root: Path, since: str, until: str) -> Step:
    """Summarize the differences between two commits in one line."""
    return git(root, "diff", "--shortstat", "--end-of-options", since, until, "--")

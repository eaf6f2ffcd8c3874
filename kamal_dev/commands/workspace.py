"""Steps and payloads for the scripts that manage a workspace on a host. Runs nothing.

The source can be gigabytes, so it is not the `stdin` of a step but a stream from the caller: the size of a tar, the
tar with the scripts and small files, and the large files in frames (size, newline, content), which a script reads as
they arrive. A frame of 0 bytes ends a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from kamal_dev.commands.payload import CONFINED, PLAIN, UNDERWAY, Scripts, tar
from kamal_dev.commands.words import checked, folder_word, stack_word
from kamal_dev.model import File, Step

_COMMON = ("lib.sh", "engine.sh", "engine_tasks.sh", "stack.sh", "audit.sh", "lock.sh", "feed.sh", *CONFINED, *UNDERWAY)
SENT = (*_COMMON, "packages.sh", "owner.sh", "handover.sh", "clone.sh", "workspace.sh", "checkout.sh")
FETCHED = (*_COMMON, "clone.sh", "collect.sh", "gather.sh")
SEEDED = (*_COMMON, "seed.sh", "unpack.sh")
STAGED = (*_COMMON, "room.sh", "stage.sh")
PATCHED = (*_COMMON, "clone.sh", "patch.sh", "apply_patch.sh")
MOVED = (*_COMMON, "lifetime.sh", "arrive.sh")
# The chunks of a large file as they become available: the number of bytes of each, and the bytes.
Frames = Callable[[], Iterable[tuple[int, Iterable[bytes]]]]

# Next to the workspace, because /tmp may be in memory and the payload may be large. Not with head: see feed.sh.
_UNPACK = f"""{PLAIN}umask 077
base=$HOME/.kamal-dev
mkdir -p "$base" && find "$base" -mindepth 1 -maxdepth 1 -name '.incoming.*' -mmin +1440 -exec rm -rf '{{}}' +
said=$(mktemp -d "$base/.incoming.XXXXXX" 2>&1) && dir=$said &&
  read -r size && said=$(dd bs=64k count="$size" iflag=fullblock,count_bytes 2>/dev/null |
    tar -xpf - --no-same-owner -C "$dir" 2>&1) && [ -f "$dir/complete" ] || {{
  rm -rf "${{dir:-}}"
  case $said in
    *[Rr]ead-only*) refuse 'the source did not arrive; the file system is read-only' ;;
    *) refuse 'the source did not arrive; is the disk full?' ;;
  esac
}}
trap 'rm -rf "$dir"' EXIT
trap '' HUP PIPE
script=$1
shift
sh "$dir/$script" "$@"
"""


def bring(scripts: Scripts, stack: str, folder: str, *, force: bool = False) -> Step:
    """Bring a workspace to the source in `stream`; with `force`, even if it has changes, after a backup.

    Parsed by `answers.outcome`.
    """
    words = (stack_word(stack), folder_word(folder), *(("force",) if force else ()))
    return _fed(scripts, "workspace.sh", words, label=" ".join(("workspace", *words)))


def collect(scripts: Scripts, stack: str, folder: str, *, whole: bool = False) -> Step:
    """Print a tar of what a workspace has that was not sent to it; with `whole`, including all of its history.

    If it succeeds, stdout is that tar; otherwise it is parsed by `answers.outcome`.
    """
    words = (stack_word(stack), folder_word(folder), *(("whole",) if whole else ()))
    return _fed(scripts, "collect.sh", words, label=" ".join(("collect", *words)))


def changes(scripts: Scripts, stack: str, folder: str) -> Step:
    """Print what differs from the last commit in a workspace, as a patch for `patch`.

    If it fails, stdout is parsed by `answers.outcome`.
    """
    words = (stack_word(stack), folder_word(folder), "changes")
    return _fed(scripts, "collect.sh", words, label=" ".join(("collect", *words)))


def patch(scripts: Scripts, stack: str, folder: str) -> Step:
    """Apply a patch to a workspace, which is the large file of `stream`. Parsed by `answers.outcome`."""
    words = (stack_word(stack), folder_word(folder))
    return _fed(scripts, "patch.sh", words, label=" ".join(("patch", *words)))


def seed(scripts: Scripts, stack: str, folder: str, *, force: bool = False) -> Step:
    """Fill an empty workspace folder from the compressed tar, which is the large file in `stream`.

    With `force`, existing content is moved away first. Parsed by `answers.outcome`.
    """
    words = (stack_word(stack), folder_word(folder), *(("force",) if force else ()))
    return _fed(scripts, "seed.sh", words, label=" ".join(("seed", *words)))


def stage(scripts: Scripts, stack: str, size: int, parts: Iterable[str]) -> Step:
    """Unpack a backup with `size` bytes of these parts beside those that the stack has.

    It is the large file of `stream`, as a compressed tar. Read by `answers.outcome`.
    """
    words = (stack_word(stack), str(size), *checked("volume", parts))
    return _fed(scripts, "stage.sh", words, label=" ".join(("stage", *words)))


def arrive(scripts: Scripts, stack: str, token: str) -> Step:
    """Unpack the records of a stack that is moved to the host by the move `token`.

    They are the large file of `stream`, as a compressed tar. Read by `answers.outcome`.
    """
    words = (stack_word(stack), *checked("token", (token,)))
    return _fed(scripts, "arrive.sh", words, label=" ".join(("arrive", *words)))


def stream(
    scripts: Scripts, names: Iterable[str], files: Iterable[File], large: Iterable[Frames] = ()
) -> Iterator[bytes]:
    """Yield the input of a script: the script itself, its files, and the `large` files in the order it reads them."""
    own = (File(name, scripts[name].encode(), 0o600) for name in names)
    packed = tar((*own, *files, File("complete", b"", 0o600)))
    yield b"%d\n" % len(packed)
    yield packed
    for frames in large:
        for size, pieces in frames():
            yield b"%d\n" % size
            yield from pieces
        yield b"0\n"


def part(index: int, fields: Mapping[str, str]) -> tuple[File, ...]:
    """Describe a part of a clone as files, one per field; numbered in order."""
    return tuple(
        File(f"parts/{index:04}/{name}", text.encode(errors="surrogateescape"), 0o600) for name, text in fields.items()
    )


def _fed(scripts: Scripts, script: str, words: tuple[str, ...], *, label: str) -> Step:
    return Step(("sh", "-c", _UNPACK, "kamal-dev", script, *words), label=label)

"""Check the user's Compose commands: which ones change a stack, and which ones do not fit a release."""

from __future__ import annotations

from kamal_dev.commands.payload import Scripts
from kamal_dev.commands.words import stack_word
from kamal_dev.errors import UsageError
from kamal_dev.values import dataclass

# Set by `dev` itself; another value would mean another project.
_OURS = ("-f", "--file", "-p", "--project-name", "--project-directory", "--env-file", "--profile")
_VALUED = ("--ansi", "--parallel", "--progress")
_CHANGING = (
    *("up", "down", "create", "start", "stop", "restart", "kill", "rm", "pause", "unpause", "scale"),
    *("run", "exec", "cp"),
)
# They change containers only during a session, which must not block a deploy.
_SESSIONS = ("run", "exec", "cp")
_OF_IMAGES = ("build", "pull", "push", "publish", "watch", "commit", "bridge", "alpha")


@dataclass(frozen=True)
class ComposeCall:
    """Hold the words for Compose; `is_change`: containers change; `question` is asked first, unless it is empty."""

    words: tuple[str, ...]
    is_change: bool = False
    locks: bool = False
    question: str = ""

    @classmethod
    def of(cls, words: tuple[str, ...]) -> ComposeCall:
        """Check the words. Raises UsageError for commands that are not for people, or would break the release."""
        verb, options = _verb(words)
        for word in options:
            if word.partition("=")[0] in _OURS or word[:2] in ("-f", "-p"):
                raise UsageError(
                    f"`{word}` is set by `dev` to the files, the project and the environment of the release"
                )
        if not verb:
            raise UsageError("no command for Compose", hint="put it after `--`: `dev compose guestbook-1 -- ps`")
        if verb in _OF_IMAGES:
            raise UsageError(f"`compose {verb}`: a release has fixed images", hint="`dev deploy` changes them")
        # The options of a command in a container are not Compose's options.
        is_down = verb in ("down", "rm")
        question = "with its volumes" if is_down and any(map(_removes_volumes, words)) else ""
        question = question or (
            "with its images" if is_down and any(word.startswith("--rmi") for word in words) else ""
        )
        return cls(words, verb in _CHANGING, verb in _CHANGING and verb not in _SESSIONS, question)


def _removes_volumes(word: str) -> bool:
    """Return whether an option of `down` or `rm` removes volumes; short options may be joined, as in `-fsv`."""
    return word.partition("=")[0] == "--volumes" or (word[:1] == "-" and word[1:2] != "-" and "v" in word)


def _verb(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the command among the words, and the options before it."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _VALUED else 1
    return words[at] if at < len(words) else "", words[:at]


def compose(scripts: Scripts, stack: str, call: ComposeCall, performer: str) -> tuple[str, ...]:
    """Return the command to run on a host."""
    names = ("lib.sh", "engine.sh", "stack.sh", "audit.sh", "lock.sh", "compose.sh")
    # The text contains the scripts that it would source.
    lines = (line for name in names for line in scripts[name].splitlines(keepends=True))
    text = "".join(line for line in lines if not line.startswith('. "$here/'))
    mode = "change" if call.locks else "read"
    return ("sh", "-c", text, "kamal-dev", stack_word(stack), performer, mode, *call.words)

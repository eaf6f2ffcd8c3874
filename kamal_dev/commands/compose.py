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
# Command, option, and what it takes away.
_LOSSES = (
    *((verb, "--volumes", "v", "with its volumes") for verb in ("down", "rm")),
    ("down", "--rmi", "", "with its images"),
    ("up", "--renew-anon-volumes", "V", "without the data in anonymous volumes"),
)
# An `up` that stays attached would keep the lock, and stop the containers on Ctrl-C.
_NOT_ATTACHED = (("--detach", "d"), ("--wait", ""), ("--no-start", ""), ("--help", "h"), ("--dry-run", ""))
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
                raise UsageError(f"`{word}` cannot be used: `dev` sets the files, the project and the environment")
        if not verb:
            raise UsageError("no command for Compose", hint="put it after `--`: `dev compose guestbook-1 -- ps`")
        if verb in _OF_IMAGES:
            raise UsageError(f"`compose {verb}`: a release has fixed images", hint="`dev deploy` changes them")
        is_attached = verb == "up" and not any(_has(words, *option) for option in _NOT_ATTACHED)
        return cls(
            (*words, "--detach") if is_attached else words,
            verb in _CHANGING,
            verb in _CHANGING and verb not in _SESSIONS,
            # The options of a command in a container are not Compose's options.
            next((lost for name, *option, lost in _LOSSES if name == verb and _has(words, *option)), ""),
        )


def _has(words: tuple[str, ...], name: str, letter: str = "") -> bool:
    """Return whether an option is among the words; short ones may be joined, as in `-fsv`."""
    return any(
        word.partition("=")[0] == name or (bool(letter) and word[:1] == "-" and word[1:2] != "-" and letter in word)
        for word in words
    )


def _verb(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the command among the words, and the options before it."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _VALUED else 1
    return words[at] if at < len(words) else "", words[:at]


def compose(scripts: Scripts, stack: str, call: ComposeCall, performer: str) -> tuple[str, ...]:
    """Return the command to run on a host."""
    names = ("lib.sh", "engine.sh", "engine_tasks.sh", "stack.sh", "audit.sh", "lock.sh", "compose.sh")
    # The text contains the scripts that it would source.
    lines = (line for name in names for line in scripts[name].splitlines(keepends=True))
    text = "".join(line for line in lines if not line.startswith('. "$here/'))
    mode = "change" if call.locks else "read"
    return ("sh", "-c", text, "kamal-dev", stack_word(stack), performer, mode, *call.words)

"""The words of `docker run`: which flags take a value, and the meaning of single letters."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from kamal_dev.values import dataclass

SWITCHES = frozenset(
    (
        *("detach", "disable-content-trust", "init", "interactive", "no-healthcheck", "oom-kill-disable"),
        *("privileged", "publish-all", "quiet", "read-only", "rm", "sig-proxy", "tty", "use-api-socket"),
    )
)
LETTERS = {
    "a": "attach",
    "c": "cpu-shares",
    "d": "detach",
    "e": "env",
    "h": "hostname",
    "i": "interactive",
    "l": "label",
    "m": "memory",
    "p": "publish",
    "P": "publish-all",
    "q": "quiet",
    "t": "tty",
    "u": "user",
    "v": "volume",
    "w": "workdir",
}


@dataclass(frozen=True)
class Flag:
    """Hold one flag: its long name without dashes, its value, the index of its word.

    A switch has the value `true`, or the text after `=`. `name` is empty for a word that is not a flag; `value` is
    None if it is missing. `width` counts words.
    """

    name: str
    value: str | None
    index: int
    written: str
    width: int = 1


def flags(words: Sequence[str], known: Container[str]) -> Iterator[Flag]:
    """Split the words into flags, like Docker's command line.

    A flag that is not `known` takes the next word as its value, unless that is a flag.
    """
    index = 0
    while index < len(words):
        matches = list(_at(words, index, known))
        yield from matches
        index += matches[-1].width


def _at(words: Sequence[str], index: int, known: Container[str]) -> Iterator[Flag]:
    word = words[index]
    if word.startswith("--") and len(word) > 2:
        name, equals, value = word[2:].partition("=")
        if equals or name in SWITCHES:
            yield Flag(name, value if equals else "true", index, word)
        else:
            yield _with_next(name, words, index, known)
    elif word.startswith("-") and word not in ("-", "--"):
        yield from _letters(words, index, known)
    else:
        yield Flag("", word, index, word)


def _letters(words: Sequence[str], index: int, known: Container[str]) -> Iterator[Flag]:
    """Read a group of letters: `-it`, `-eA=b`, `-u=me`."""
    word = words[index]
    for place, letter in enumerate(word[1:], start=2):
        name = LETTERS.get(letter, letter)
        rest = word[place:]
        if name not in SWITCHES or rest.startswith("="):
            yield Flag(name, rest.removeprefix("="), index, word) if rest else _with_next(name, words, index, known)
            return
        yield Flag(name, "true", index, f"-{letter}")


def _with_next(name: str, words: Sequence[str], index: int, known: Container[str]) -> Flag:
    following = words[index + 1] if index + 1 < len(words) else None
    if following is None or (name not in known and following.startswith("-")):
        return Flag(name, None, index, words[index])
    return Flag(name, following, index, f"{words[index]} {following}", 2)

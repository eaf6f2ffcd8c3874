"""The images that a Dockerfile uses, read like BuildKit. Builds nothing.

Source: moby/buildkit, frontend/dockerfile: `parser`, `shell` and `instructions`; tests compare with a real builder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from kamal_dev.compose.shell_word import Word, words
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_DIRECTIVE = pattern(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = pattern(r"<<(-?)\s*([\"']?)([^\s<\"']+)\2")
_WITH_HEREDOC = ("RUN", "COPY", "ADD")
_MOUNTED = pattern(r"(?:^|,)from=([^,]+)")
# Platform variables that BuildKit sets before the Dockerfile is read.
_PLATFORM = ("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT", "TARGETPLATFORM", "TARGETOS", "TARGETARCH")


@dataclass(frozen=True)
class Instruction:
    """Hold one instruction: its name in capitals, and the rest of its line, continued lines joined."""

    name: str
    rest: str


def images(text: str, args: Mapping[str, str | None]) -> frozenset[str]:
    """Return the images that stages start from, and that files are copied or mounted from, as written.

    Names of stages and `scratch` are left out. `args` are the build arguments: they only set what the Dockerfile
    declares with `ARG`.
    """
    escape, lines = _escape(text), text.removeprefix("\ufeff").splitlines()
    stages = _Stages(escape, {name: value for name, value in args.items() if value is not None})
    for instruction in _instructions(lines, escape):
        stages.take(instruction)
    return frozenset(stages.images)


def _escape(text: str) -> str:
    """Return the escape character: a backslash, or the one in the directive at the top."""
    for line in text.removeprefix("\ufeff").splitlines():
        match = _DIRECTIVE.match(line.strip())
        if not match:
            break
        if match[1].lower() == "escape" and match[2] in ("\\", "`"):
            return match[2]
    return "\\"


def _instructions(lines: list[str], escape: str) -> Iterator[Instruction]:
    """Yield the instructions, without comments and bodies of heredocs; an empty line does not end a continued one."""
    continued = re.compile(rf"(?:^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$")
    waiting = iter(lines)
    whole = ""
    for line in waiting:
        stripped = line.lstrip()
        if stripped.startswith("#") or not stripped:
            continue
        whole += stripped if not whole else line
        if continued.search(whole):
            whole = whole.rstrip(" \t")[:-1]
            continue
        name, _, rest = whole.strip().partition(" ") if " " in whole.strip() else whole.strip().partition("\t")
        instruction = Instruction(name.upper(), rest.strip())
        if instruction.name in _WITH_HEREDOC:
            _skip_heredocs(instruction.rest, waiting)
        yield instruction
        whole = ""
    if whole.strip():
        name, _, rest = whole.strip().partition(" ")
        yield Instruction(name.upper(), rest.strip())


def _skip_heredocs(rest: str, lines: Iterator[str]) -> None:
    for heredoc in _HEREDOC.finditer(rest):
        for line in lines:
            if (line.lstrip("\t") if heredoc[1] else line) == heredoc[3]:
                break


@dataclass
class _Stages:
    """Follow the stages of a Dockerfile: the arguments of each, and the images it uses."""

    escape: str
    given: Mapping[str, str]
    images: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _global: dict[str, str] = field(default_factory=lambda: dict.fromkeys(_PLATFORM, ""))
    _own: dict[str, str] | None = None
    _count: int = 0

    def take(self, instruction: Instruction) -> None:
        act: Mapping[str, Callable[[str], None]] = {
            "ARG": self._argument,
            "ENV": self._environment,
            "FROM": self._start,
            "COPY": self._copied,
            "RUN": self._mounted,
        }
        if instruction.name in act:
            act[instruction.name](instruction.rest)

    def _argument(self, rest: str) -> None:
        known = self._global if self._own is None else self._own
        for word in words(rest, self.escape):
            name, equals, _ = word.text.partition("=")
            default = word.after("=").expanded(known.get) if equals else self._inherited(name)
            value = self.given.get(name, default)
            if value is not None:
                known[name] = value

    def _inherited(self, name: str) -> str | None:
        return self._global.get(name) if self._own is not None else None

    def _environment(self, rest: str) -> None:
        if self._own is None:
            return
        pairs = words(rest, self.escape)
        if pairs and "=" not in pairs[0].text:
            self._own[pairs[0].text] = Word(rest.partition(pairs[0].text)[2].strip(), self.escape).expanded(
                self._own.get
            )
            return
        self._own |= {
            word.text.partition("=")[0]: word.after("=").expanded(self._own.get) for word in pairs if "=" in word.text
        }

    def _start(self, rest: str) -> None:
        named = [Word(text, self.escape) for text in rest.split() if not text.startswith("--")]
        if not named:
            return
        self._use(named[0].expanded(self._global.get))
        if len(named) > 2 and named[1].text.lower() == "as":
            self._names.add(named[2].text.lower())
        self._names.add(str(self._count))
        self._count += 1
        self._own = {}

    def _copied(self, rest: str) -> None:
        for name, value in self._flags(rest):
            if name == "--from":
                self._use(value)

    def _mounted(self, rest: str) -> None:
        for name, value in self._flags(rest):
            match = _MOUNTED.search(value) if name == "--mount" else None
            if match:
                self._use(match[1])

    def _flags(self, rest: str) -> Iterator[tuple[str, str]]:
        """Yield the flags at the beginning, without quotes and with variables resolved."""
        for word in words(rest, self.escape):
            if not word.text.startswith("--"):
                return
            name, _, value = word.expanded(self._known).partition("=")
            yield name, value

    def _known(self, name: str) -> str | None:
        return (self._own or {}).get(name)

    def _use(self, image: str) -> None:
        if image and image.lower() not in self._names and image != "scratch":
            self.images.add(image)

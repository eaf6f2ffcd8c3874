"""Read .kamal/secrets: names and secrets, each resolved when needed. Opens no file, runs nothing itself."""

from __future__ import annotations

import io
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from kamal_dev.config import vaults
from kamal_dev.config.expansion import CommandSubstitution, Part, Variable, has_command, split, variables
from kamal_dev.config.vaults import Vault
from kamal_dev.errors import ConfigError, CredentialsMissing, Problem
from kamal_dev.model import Result, Secret, Step
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

MAX_CHARACTERS = 128 * 1024
MAX_VALUE = 1024 * 1024
MAX_PROBLEMS = 50
NOT_FOUND = 127

_STATEMENT = pattern(
    r"\s*(?P<export>export[^\S\r\n]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[^\S\r\n]*(?P<assign>=[^\S\r\n]*(?P<value>.*))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class SecretEntry:
    """Hold one `NAME=value`; a plain value needs no command, an address is resolved by a password manager."""

    name: str
    parts: tuple[Part, ...] = field(repr=False)
    line: int
    is_plain: bool
    is_address: bool = False


@dataclass(frozen=True)
class SecretsFile:
    """Look secrets up in the environment, then in the file. A command runs once, when its value is needed.

    `run` executes a step and never raises on an exit code; see shell.Local. Others than the `allowed` names are not
    found.
    """

    path: str
    entries: tuple[SecretEntry, ...]
    environment: Mapping[str, str] = field(repr=False)
    run: Callable[[Step], Result] = field(repr=False)
    allowed: frozenset[str] | None = None
    _places: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _known: dict[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _answers: dict[Any, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for index, entry in enumerate(self.entries):
            self._places.setdefault(entry.name, []).append(index)

    @property
    def names(self) -> tuple[str, ...]:
        """The names with a value in the file, in order."""
        return tuple(name for name in self._places if self.allowed is None or name in self.allowed)

    @property
    def has_values(self) -> bool:
        """Whether the file contains a value itself, not only variables, commands and addresses."""
        texts = [entry.parts for entry in self.entries if not entry.is_address]
        return any(parts and all(isinstance(part, str) for part in parts) for parts in texts)

    def __contains__(self, name: object) -> bool:
        return (self.allowed is None or name in self.allowed) and (name in self.environment or name in self._places)

    def only(self, names: Iterable[str]) -> SecretsFile:
        """Return the file with only these names; their values may refer to others."""
        return replace(self, allowed=frozenset(names))

    def get(self, name: str) -> Secret | None:
        """Return a secret, None if it is not set.

        Raises ConfigError with the line if its command fails or a variable is not set.
        """
        if name not in self:
            return None
        try:
            value = self._look_up(name, len(self.entries))
        except RecursionError:
            raise ConfigError(Problem(self.path, 0, "has too many levels of references", name)) from None
        return None if value is None else Secret(value)

    def plain(self, names: Iterable[str]) -> tuple[Secret, ...]:
        """Return the secrets that are known without running a command."""
        return tuple(self.known(names).values())

    def known(self, names: Iterable[str]) -> dict[str, Secret]:
        """Return the same, by name."""
        plain = {entry.name for entry in self.entries if entry.is_plain}
        asking = {entry.name for entry in self.entries if not entry.is_plain} - self.environment.keys()
        wanted = (name for name in names if (name in plain or name in self.environment) and name not in asking)
        secrets = {name: self.get(name) for name in wanted}
        return {name: secret for name, secret in secrets.items() if secret is not None}

    def require(self, names: Iterable[str]) -> dict[str, Secret]:
        """Return secrets by name; raises CredentialsMissing with all names that are not set."""
        secrets = {name: self.get(name) for name in names}
        missing = [name for name, secret in secrets.items() if secret is None]
        if missing:
            raise not_set(self.path, missing)
        return {name: secret for name, secret in secrets.items() if secret is not None}

    def _look_up(self, name: str, before: int) -> str | None:
        """Return the value that the entry number `before` gets for a name."""
        if name in self.environment:
            return self.environment[name]
        places = self._places.get(name, [])
        earlier = bisect_left(places, before)
        return self._value(places[earlier - 1]) if earlier else None

    def _value(self, index: int) -> str:
        if index not in self._known:
            value = "".join(self._text(part, index) for part in self.entries[index].parts)
            value = self._kept(value, index) if self.entries[index].is_address else value
            if len(value) > MAX_VALUE:
                raise self._refused(index, "is longer than 1 MiB")
            self._known[index] = value
        return self._known[index]

    def _text(self, part: Part, index: int) -> str:
        if isinstance(part, CommandSubstitution):
            return self._output(part, index)
        return self._variable(part, index) if isinstance(part, Variable) else part

    def _kept(self, address: str, index: int) -> str:
        """Ask a password manager; one answer is used for all addresses with the same command."""
        vault = vaults.find(address)
        if vault is None:
            return address
        try:
            step = Step(vaults.asked(vault, address), environment=self._seen("", index))
            key = (step.argv, step.environment)
            if key not in self._answers:
                self._answers[key] = self._answer(vault, step, index)
            return vaults.secret(vault, address, self._answers[key])
        except ValueError as error:
            raise self._refused(index, f"`{address}` {error}") from None

    def _answer(self, vault: Vault, step: Step, index: int) -> str:
        result, argv = self.run(step), step.argv
        if result:
            return result.output
        if result.exit_code == NOT_FOUND:
            raise self._refused(index, f"`{argv[0]}` ({vault.name}) is not installed", vault.install)
        last_line = (result.errors.strip().splitlines() or ["no output"])[-1]
        raise self._refused(
            index,
            f"{vault.name} refused the request: {last_line} (`{argv[0]}` exited {result.exit_code})",
            vault.sign_in,
        )

    def _variable(self, part: Variable, index: int) -> str:
        """Substitute as the shell does, except that an unset variable is an error, not nothing."""
        value = self._look_up(part.name, index)
        if value is not None and (value or not part.operator.startswith(":")):
            return value
        word = "".join(self._text(piece, index) for piece in part.word)
        if part.operator.endswith("-"):
            return word
        entry = self.entries[index]
        hint = f"use `'…'` for a literal `$`, or `${{{part.name}:-}}` for an empty default"
        message = word or f"{part.name} is not set; {hint}"
        raise CredentialsMissing(Problem(self.path, entry.line, message, entry.name))

    def _output(self, command: CommandSubstitution, index: int) -> str:
        entry = self.entries[index]
        step = Step(
            ("sh", "-c", command.text), environment=self._seen(command.text, index), label=f"$(…) for {entry.name}"
        )
        result = self.run(step)
        if not result:
            detail = f": {result.errors.strip().splitlines()[-1]}" if result.errors.strip() else ""
            raise self._refused(index, f"its command exited {result.exit_code}{detail}")
        if "\0" in result.output:
            raise self._refused(index, "its command printed a NUL character")
        return result.output.rstrip("\r\n")

    def _seen(self, command: str, index: int) -> tuple[tuple[str, Secret], ...]:
        """Return the environment of a command: earlier entries that are plain, or that it mentions."""
        mentioned = set(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", command))
        names = [entry.name for entry in self.entries[:index] if entry.is_plain or entry.name in mentioned]
        wanted = (name for name in dict.fromkeys(names) if name not in self.environment)
        return tuple((name, Secret(self._look_up(name, index) or "")) for name in wanted)

    def _refused(self, index: int, message: str, hint: str = "") -> ConfigError:
        entry = self.entries[index]
        return ConfigError(Problem(self.path, entry.line, message, entry.name), hint=hint)


def parse_secrets(
    text: str, path: str, *, environment: Mapping[str, str], run: Callable[[Step], Result]
) -> SecretsFile:
    """Read .kamal/secrets; nothing runs before a value is requested.

    Raises ConfigError with every line that cannot be parsed; their contents are never shown.
    """
    _ensure_sane(text, path)
    entries: list[SecretEntry] = []
    problems: list[Problem] = []
    plain = set(environment)
    for statement, line in _statements(text):
        try:
            entry = _entry(statement, line, plain)
        except ValueError as error:
            problems.append(Problem(path, line, str(error)))
            if len(problems) == MAX_PROBLEMS:
                break
            continue
        if entry:
            entries.append(entry)
            is_plain = entry.is_plain or entry.name in environment
            (plain.add if is_plain else plain.discard)(entry.name)
    if problems:
        raise ConfigError(problems)
    return SecretsFile(path, tuple(entries), environment, run)


def not_set(path: str, names: Iterable[str]) -> CredentialsMissing:
    """Name variables that are not set, and the file to set them in."""
    names = tuple(names)
    return CredentialsMissing([Problem(path, 0, f"{name} is not set") for name in names], hint=how_to_set(path, names))


def how_to_set(path: str, names: tuple[str, ...]) -> str:
    """Say where variables get their values; `path` is the secrets file as shown."""
    lines = " and ".join(f"`{name}=…`" for name in names)
    return f"add {lines} to {path}, or set {'it' if len(names) == 1 else 'them'} in the environment"


def _ensure_sane(text: str, path: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(Problem(path, 0, f"is longer than {MAX_CHARACTERS // 1024} KiB"))
    # python-dotenv takes quadratic time for such a run.
    blanks = re.search(r"[^\S\n]{256}", text)
    if blanks:
        line = text.count("\n", 0, blanks.start()) + 1
        raise ConfigError(Problem(path, line, "has more than 256 spaces in a row"))


def _statements(text: str) -> Iterator[tuple[str, int]]:
    """Split the file into statements; python-dotenv knows where a quoted value of several lines ends."""
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text.removeprefix("\ufeff").replace("\r\n", "\n"))):
        statement = binding.original.string
        body = statement.lstrip()
        if body and not body.startswith("#"):
            yield statement.strip("\n"), binding.original.line + statement[: len(statement) - len(body)].count("\n")


def _entry(statement: str, line: int, plain: set[str]) -> SecretEntry | None:
    """Read one statement; None for `export NAME`, which only refers to the environment."""
    match = _STATEMENT.fullmatch(statement)
    if not match or not (match["assign"] or match["export"]):
        raise ValueError("is not `NAME=value`")
    if "\0" in statement:
        raise ValueError(f"{match['name']}: contains a NUL character")
    if not match["assign"]:
        return None
    try:
        parts = () if re.fullmatch(r"=[^\S\r\n]+#.*", match["assign"]) else split(match["value"])
    except RecursionError:
        raise ValueError(f"{match['name']}: is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{match['name']}: {error}") from None
    is_address = vaults.find(match["value"] or "") is not None
    is_plain = not is_address and not has_command(parts) and plain.issuperset(variables(parts))
    return SecretEntry(match["name"], parts, line, is_plain, is_address)

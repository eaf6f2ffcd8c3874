"""Read the compose files of a project as one value: -f order, `include`, `extends`. Changes no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path

from kamal_dev.compose import dotenv, merge, place
from kamal_dev.compose.value import Scope, Value, convert
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Location, Tree
from kamal_dev.syntax.composer import parse
from kamal_dev.syntax.node import Node
from kamal_dev.syntax.text import decode
from kamal_dev.values import dataclass

DEEPEST = 50

_SHARED = ("services", "volumes", "networks", "secrets", "configs")


@dataclass(frozen=True)
class ComposeFile:
    """Hold one compose file of a project.

    `path` is absolute; `text` has every character of the file, including byte order mark and line ends. `role` is
    `top` for a named file, `included` or `extended` for a file that another one reaches.
    """

    path: Path
    display: str
    text: str = field(repr=False)
    role: str
    documents: tuple[Node, ...] = field(repr=False, compare=False)


class ComposeReader:
    """Read a project's files, each once; `files` and `env_files` are filled in order of appearance.

    `set_by_includes` are the variables that only an included project has. `texts` replace files of the tree. With
    `allow_outside`, files outside the repository may be read, too. `personal` are paths of the user of this machine,
    which services do not mount on a host.
    """

    def __init__(
        self,
        tree: Tree,
        repository: Path,
        texts: Mapping[Path, str] | None = None,
        *,
        allow_outside: bool = False,
        personal: tuple[Path, ...] = (),
    ) -> None:
        self.tree = tree
        self.repository = repository
        self.files: dict[Path, ComposeFile] = {}
        self.env_files: dict[Path, Location] = {}
        self.set_by_includes: set[str] = set()
        self.allow_outside = allow_outside
        self.personal = personal
        self._texts = texts or {}

    @property
    def has_texts(self) -> bool:
        """Whether texts replace files."""
        return bool(self._texts)

    def read(self, paths: tuple[Path, ...], scope: Scope, role: str = "top", chain: tuple[Path, ...] = ()) -> Value:
        """Return the merged files. Raises ComposeError.

        `chain` are the files that include these.
        """
        project: Value | None = None
        for path in paths:
            for value in self._values(path, scope, role, Location("")):
                whole = self._included(self._extended(value, path, scope), path, scope, chain)
                project = merge.projects(project, whole)
        if project is None:
            raise ComposeError(Problem(place.shown(paths[0], self.repository), 1, "is empty"))
        return project

    def file(self, path: Path, role: str, where: Location) -> ComposeFile:
        """Return a parsed file; `where` is the place that names it. Raises ComposeError.

        The first role counts, so the named files come first.
        """
        known = self.files.get(path)
        if known is None:
            known = self._file(path, role, where)
            self.files[path] = known
        return known

    def environment(self, path: Path, where: Location, known: Mapping[str, str]) -> dict[str, str]:
        """Return what a dotenv file sets; known variables win inside its values. Raises ComposeError."""
        display = place.shown(path, self.repository)
        text = decode(self.bytes(path, where), display, ComposeError)
        self.env_files.setdefault(path, where)
        return dotenv.parse(text, display, known.get)

    def bytes(self, path: Path, where: Location) -> bytes:
        """Return a file's content. Raises ComposeError if it is missing or not in the repository."""
        display = place.shown(path, self.repository)
        if not self.may_read(path):
            raise ComposeError(
                _at(where, display, f"`{display}` is outside the repository"),
                hint="move the file into the repository: only what is in it travels to a host,"
                " unless `--allow-outside` says otherwise",
            )
        try:
            return self.tree.read(path)
        except OSError as error:
            raise ComposeError(_at(where, display, f"`{display}`: {_reason(error)}")) from error

    def may_read(self, path: Path) -> bool:
        """Return whether the repository contains a file, or outside files are allowed."""
        return self.allow_outside or self.holds(path)

    def holds(self, path: Path) -> bool:
        """Return whether the repository contains a file at this path, and no link leads outside."""
        inside = place.within(path, self.repository) is not None
        return inside and place.within(self.tree.real(path), self.tree.real(self.repository)) is not None

    def _file(self, path: Path, role: str, where: Location) -> ComposeFile:
        display = place.shown(path, self.repository)
        text = self._texts.get(path)
        if text is None:
            text = decode(self.bytes(path, where), display, ComposeError)
        return ComposeFile(path, display, text, role, parse(text, display, ComposeError))

    def _values(self, path: Path, scope: Scope, role: str, where: Location) -> Iterator[Value]:
        for root in self.file(path, role, where).documents:
            value = convert(root, self.files[path].display, scope)
            if not isinstance(value.data, dict):
                raise ComposeError(Problem(value.where.path, value.where.line, "a compose file must be a mapping"))
            if (services := value.at("services")) is not None:
                value = value.having({**value.items, "services": replace(services, data=merge.services(services))})
            yield value

    def _extended(self, value: Value, path: Path, scope: Scope) -> Value:
        services = value.at("services")
        if services is None:
            return value
        extended = {name: self._extend(name, services.items, path, scope, ()) for name in services.items}
        return value.having({**value.items, "services": services.having(extended)})

    def _extend(
        self, name: str, services: Mapping[str, Value], path: Path, scope: Scope, chain: tuple[tuple[Path, str], ...]
    ) -> Value:
        service = services[name]
        extends = service.at("extends")
        if extends is None:
            return service
        if (path, name) in chain:
            raise ComposeError(_at(extends.where, "", f"`{name}` extends itself"))
        if len(chain) > DEEPEST:
            raise ComposeError(_at(extends.where, "", f"`{name}` is extended in more than {DEEPEST} steps"))
        wanted = extends.string("service") if extends.items else extends.text
        file = extends.string("file")
        below = services
        if file:
            _refuse_remote(file, extends.where)
            path_below = place.absolute(scope.base, file)
            scope = replace(scope, base=path_below.parent)
            below = self._services(path_below, scope, extends.where)
        else:
            path_below = path
        if wanted not in below:
            message = f"extends `{wanted}`, which is not a service in {place.shown(path_below, self.repository)}"
            raise ComposeError(_at(extends.where, "", message))
        base = self._extend(wanted, below, path_below, scope, (*chain, (path, name)))
        merged = merge.over(base, service)
        return merged.having({key: item for key, item in merged.items.items() if key != "extends"})

    def _services(self, path: Path, scope: Scope, where: Location) -> dict[str, Value]:
        project: Value | None = None
        for value in self._values(path, scope, "extended", where):
            project = merge.projects(project, value)
        services = project.at("services") if project is not None else None
        return dict(services.items) if services is not None else {}

    def _included(self, value: Value, path: Path, scope: Scope, chain: tuple[Path, ...]) -> Value:
        include = value.at("include")
        if include is None or include.data is None:
            return value
        if not isinstance(include.data, list):
            raise ComposeError(_at(include.where, "", "`include` must be a list"))
        entries = {key: item for key, item in value.items.items() if key != "include"}
        for item in include.list:
            entries = _imported(entries, self._include(item, scope, (*chain, path)))
        return value.having(entries)

    def _include(self, item: Value, scope: Scope, chain: tuple[Path, ...]) -> Value:
        texts = _strings(item.at("path")) if item.items else [item.text]
        for text in texts:
            _refuse_remote(text, item.where)
        paths = tuple(place.absolute(scope.base, text) for text in texts)
        if not paths:
            raise ComposeError(_at(item.where, "", "`include` has no `path`"))
        if paths[0] in chain:
            raise ComposeError(_at(item.where, "", f"`{place.shown(paths[0], self.repository)}` includes itself"))
        if len(chain) > DEEPEST:
            raise ComposeError(_at(item.where, "", f"files are included more than {DEEPEST} deep"))
        for path in paths:
            self.file(path, "included", item.where)
        folder = item.string("project_directory")
        base = place.absolute(scope.base, folder) if folder else paths[0].parent
        return self.read(paths, self._included_scope(item, base, scope), "included", chain)

    def _included_scope(self, item: Value, base: Path, scope: Scope) -> Scope:
        named = [place.absolute(scope.base, text) for text in _strings(item.at("env_file"))]
        default = base / ".env"
        if not named and self.tree.kind(default) == "file":
            named = [default]
        values: dict[str, str] = {}
        for path in named:
            values |= self.environment(path, item.where, {**values, **scope.variables})
        self.set_by_includes |= values.keys()
        return Scope(base, {**values, **scope.variables}, is_included=True)


def _imported(entries: dict[str, Value], source: Value) -> dict[str, Value]:
    """Return a file's entries with those of its includes. Raises ComposeError if both define the same name."""
    result = dict(entries)
    for key in _SHARED:
        imported = source.at(key)
        if imported is None:
            continue
        own = result.get(key) or imported.having({})
        for name, item in imported.items.items():
            if name in own.items and own.items[name].plain() != item.plain():
                where = own.items[name].where
                raise ComposeError(_at(where, "", f"`{key}.{name}` is also defined in {item.where}, which is included"))
        result[key] = own.having({**imported.items, **own.items})
    return result


def _strings(value: Value | None) -> list[str]:
    if value is None or value.data is None:
        return []
    return [item.text for item in value.list] if isinstance(value.data, list) else [value.text]


def _refuse_remote(text: str, where: Location) -> None:
    if place.is_remote(text):
        raise ComposeError(
            _at(where, "", f"`{text}` is not a file in the repository"), hint="copy the file into the repository"
        )


def _at(where: Location, display: str, message: str) -> Problem:
    return Problem(where.path or display, where.line, message, column=where.column)


def _reason(error: OSError) -> str:
    return {"FileNotFoundError": "no such file", "IsADirectoryError": "is a folder"}.get(
        type(error).__name__, error.strerror or "cannot be read"
    )

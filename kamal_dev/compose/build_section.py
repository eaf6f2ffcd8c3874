"""Turn one `build` section into a Build with absolute paths: every key is used, reported or refused by name.

Source: Compose Build Specification; `docker buildx build --help`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from kamal_dev.compose import build_options, place, secret_text
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Build, BuildSecret, Notice, Tree
from kamal_dev.values import dataclass

OUTSIDE = (
    "is outside the repository, so the version does not cover it: move it into the repository, or use `--allow-outside`"
)
_READ = {
    *("context", "dockerfile", "dockerfile_inline", "target", "args", "additional_contexts"),
    *("cache_from", "cache_to", "secrets", "ssh", "platforms"),
}


@dataclass
class Findings:
    """Collect the findings about builds.

    `problems` forbid a deploy, but not reading.
    """

    builds: tuple[Build, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True)
class Ground:
    """Hold what builds are read with: the files, the project's secrets, the variables."""

    reader: ComposeReader
    secrets: Mapping[str, Value]
    variables: Mapping[str, str] = field(repr=False)

    @property
    def tree(self) -> Tree:
        """The working tree."""
        return self.reader.tree

    @property
    def repository(self) -> Path:
        """The top of the repository."""
        return self.reader.repository


def read(name: str, service: Value, ground: Ground, findings: Findings) -> Build:
    """Return the build of one service; raises ComposeError for what Compose refuses and for unknown keys."""
    section = service.items["build"]
    _check_keys(name, section)
    context = _context_path(name, service, section)
    is_remote = place.is_remote(context)
    inline = section.string("dockerfile_inline")
    dockerfile = section.string("dockerfile") or "Dockerfile"
    build = Build(
        services=(name,),
        context=context,
        dockerfile="" if inline else dockerfile if is_remote else place.absolute(Path(context), dockerfile).as_posix(),
        dockerfile_inline=inline,
        target=section.string("target"),
        args=_args(name, section, ground, findings),
        cache_from=_texts(section, "cache_from"),
        cache_to=_texts(section, "cache_to"),
        contexts=_contexts(section),
        secrets=_secrets(name, section, ground, findings),
        ssh=build_options.ssh(section),
        platforms=_texts(section, "platforms") or tuple(filter(None, [service.string("platform")])),
        options=build_options.flags(section),
        where=section.where,
    )
    if not is_remote:
        findings.problems += _missing(name, build, section, ground)
    findings.problems += _leaks(name, section)
    findings.notices += build_options.notices(name, section)
    return build


def _leaks(name: str, section: Value) -> Iterator[Problem]:
    """Yield what would write a readable secret into the image; build arguments are checked later."""
    labels = section.at("labels")
    inline = section.at("dockerfile_inline")
    texts = [("labels", value) for value in (labels.items.values() if labels is not None else ())]
    texts += [("dockerfile_inline", inline)] if inline is not None else []
    for key, value in texts:
        for secret in dict.fromkeys(secret_text.names(str(value.data))):
            message = f"the secret `{secret}` would stay readable in the image: list it in `build.secrets` instead"
            yield _at(value, f"services.{name}.build.{key}", message)


def _check_keys(name: str, section: Value) -> None:
    problems = [
        _at(value, f"services.{name}.build.{key}", "is not supported")
        for key, value in section.items.items()
        if key not in _READ | build_options.KEYS and not key.startswith("x-")
    ]
    if section.string("dockerfile") and section.string("dockerfile_inline"):
        where = section.items["dockerfile_inline"]
        problems.append(_at(where, f"services.{name}.build", "has both `dockerfile` and `dockerfile_inline`"))
    if problems:
        raise ComposeError(problems)


def _context_path(name: str, service: Value, section: Value) -> str:
    written = section.at("context")
    if written is None:
        return service.base.as_posix()
    if not written.text:
        raise ComposeError(_at(written, f"services.{name}.build", "has no folder to build from"))
    return written.text if place.is_remote(written.text) else place.absolute(written.base, written.text).as_posix()


def _args(name: str, section: Value, ground: Ground, findings: Findings) -> tuple[tuple[str, str | None], ...]:
    """Return the arguments; one without a value takes the variable's: another value is another build."""
    args = section.at("args")
    pairs: list[tuple[str, str | None]] = []
    for key, value in args.items.items() if args is not None else ():
        taken = ground.variables.get(key)
        text = value.hidden if value.data is not None else None if taken is None else secret_text.hidden(taken)
        if text is not None:
            pairs.append((key, text))
        else:
            message = f"services.{name}.build.args: `{key}` has no value: the default of the Dockerfile is used"
            findings.notices.append(Notice(value.where, message))
    return tuple(pairs)


def _contexts(section: Value) -> tuple[tuple[str, str], ...]:
    contexts = section.at("additional_contexts")
    return tuple(
        (key, value.text if _is_symbolic(value.text) else place.absolute(value.base, value.text).as_posix())
        for key, value in (contexts.items.items() if contexts is not None else ())
    )


def _is_symbolic(text: str) -> bool:
    return text.startswith("service:") or place.is_remote(text)


def _secrets(name: str, section: Value, ground: Ground, findings: Findings) -> tuple[BuildSecret, ...]:
    secrets = []
    listed = section.at("secrets")
    for item in listed.list if listed is not None else ():
        source = item.string("source") if item.items else item.text
        key = f"services.{name}.build.secrets"
        definition = ground.secrets.get(source)
        if definition is None:
            raise ComposeError(_at(item, key, f"`{source}` is not a secret of this project"))
        identity = item.string("target") or source
        file, environment = definition.string("file"), definition.string("environment")
        if file:
            secrets.append(BuildSecret(identity, file=place.absolute(definition.base, file).as_posix()))
        elif environment:
            secrets.append(BuildSecret(identity, environment=environment))
        else:
            message = "a build takes a secret from `file` or `environment`"
            raise ComposeError(_at(definition, f"secrets.{source}", message))
        if {"uid", "gid", "mode"} & set(item.items):
            findings.notices.append(Notice(item.where, f"{key}: `uid`, `gid` and `mode` have no effect in a build"))
    return tuple(secrets)


def _texts(section: Value, key: str) -> tuple[str, ...]:
    value = section.at(key)
    if value is None:
        return ()
    return tuple(item.text for item in value.list) if isinstance(value.data, list) else (value.text,)


def _missing(name: str, build: Build, section: Value, ground: Ground) -> list[Problem]:
    key, context = f"services.{name}.build", Path(build.context)
    written = section.at("context") or section
    if ground.tree.kind(context) != "directory":
        return [_at(written, key, f"the folder `{place.shown(context, ground.repository)}` does not exist")]
    dockerfile = Path(build.dockerfile)
    outside = {name: path for name, path in _taken(build) if not ground.reader.may_read(path)}
    if "context" in outside and place.within(dockerfile, context) is not None:
        outside.pop("dockerfile", None)
    elif build.dockerfile and ground.tree.kind(dockerfile) != "file":
        shown = place.shown(dockerfile, ground.repository)
        return [_at(section.at("dockerfile") or section, key, f"the Dockerfile `{shown}` does not exist")]
    wrong = [_at(section.at(name) or section, key, f"`{path}` {OUTSIDE}") for name, path in outside.items()]
    return [*wrong, *_lacking(build, section, key, ground)]


def _lacking(build: Build, section: Value, key: str, ground: Ground) -> Iterator[Problem]:
    """Yield the missing folders and files other than the context; a file outside is reported separately."""
    for name, text in build.contexts:
        path = Path(text)
        if text.startswith("/") and ground.reader.may_read(path) and ground.tree.kind(path) != "directory":
            where = section.at("additional_contexts", name) or section
            yield _at(where, key, f"the folder `{place.shown(path, ground.repository)}` does not exist")
    for secret in build.secrets:
        path = Path(secret.file)
        if secret.file and ground.reader.may_read(path) and ground.tree.kind(path) != "file":
            shown = place.shown(path, ground.repository)
            yield _at(section.items["secrets"], key, f"the file `{shown}` of a secret does not exist")


def is_outside(build: Build, reader: ComposeReader) -> bool:
    """Return whether a build uses anything outside the repository, which the version does not cover."""
    return any(not reader.holds(path) for _, path in _taken(build))


def _taken(build: Build) -> list[tuple[str, Path]]:
    """Return the local paths that a build uses, with the keys that name them."""
    paths = [("context", build.context), ("dockerfile", build.dockerfile)]
    paths += [("additional_contexts", text) for _, text in build.contexts]
    return [(key, Path(text)) for key, text in paths if text.startswith("/")]


def _at(value: Value, key: str, message: str) -> Problem:
    return Problem(value.where.path, value.where.line, message, key=key, column=value.where.column)

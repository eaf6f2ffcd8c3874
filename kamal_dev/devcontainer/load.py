"""Turn devcontainer.json's text into a Devcontainer: parse, substitute, type, explain. Opens no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kamal_dev.devcontainer import fields, jsonc, run_args, workspace_folder
from kamal_dev.devcontainer.configuration import Devcontainer, Translation
from kamal_dev.devcontainer.find import FILE, FOLDER, HIDDEN
from kamal_dev.devcontainer.legacy import modern
from kamal_dev.devcontainer.lifecycle import VARIABLE
from kamal_dev.devcontainer.private_variables import NOTHING, Private, strings
from kamal_dev.devcontainer.properties import LIFECYCLE, explain
from kamal_dev.devcontainer.reader import PropertyReader
from kamal_dev.devcontainer.substitution import Variables, devcontainer_id, named, parts, with_id
from kamal_dev.devcontainer.workspace_folder import DevcontainerPaths
from kamal_dev.errors import DevcontainerError
from kamal_dev.model import Explanation, Notice

_REFERENCE = "every property is described at https://containers.dev/implementors/json_reference/"
# Properties that are needed before there is a container whose environment could be read.
_OF_MACHINE = {"env", "localEnv", "localWorkspaceFolder"}
_EARLY = ("image", "build", "containerEnv", "containerUser", "mounts", "runArgs", "workspaceMount", "workspaceFolder")


def load(
    text: str,
    path: Path,
    *,
    root: Path,
    environment: Mapping[str, str],
    display: str,
    devcontainer_id: str = "",
    repository: Path | None = None,
    private: Private = NOTHING,
    strict: bool = True,
) -> Devcontainer:
    """Read a devcontainer.json.

    `path` and `root`, the folder that it belongs to, are absolute; `repository` is the top of the git tree, `root`
    without one. `environment` resolves `${localEnv:…}`, except `private` variables. `devcontainer_id` defaults to the
    id that the devcontainer CLI derives from the two paths. Raises DevcontainerError with all problems; unless
    `strict`, only for broken syntax, and problems of values are stored in `problems`.
    """
    document = jsonc.parse(text, display)
    written = PropertyReader(document.value, document.positions, display)
    if not isinstance(document.value, dict):
        written.refuse((), "must be a JSON object")
        raise DevcontainerError(written.problems, hint=_REFERENCE)
    places = DevcontainerPaths(path, root, repository or root)
    private.refuse(written)
    configuration = _substituted(written, places, environment)
    identity = devcontainer_id or _identity(places)
    value = with_id(configuration, identity)
    loaded = _typed(PropertyReader(value, document.positions, display), places, private.left_out(environment), written)
    loaded = _explained(loaded, written, document)
    configuration = {**configuration, "configFilePath": _uri(places)}
    loaded = replace(loaded, configuration=configuration, identity=identity, local_env=_local(written))
    if strict and loaded.problems:
        raise DevcontainerError(loaded.problems, hint=_REFERENCE)
    return loaded


def _substituted(written: PropertyReader, places: DevcontainerPaths, environment: Mapping[str, str]) -> dict[str, Any]:
    raw = modern(written.value)
    folder = workspace_folder.container_folder(raw, places.root, places.repository)
    substituted = Variables(environment, places.root, folder).substitute(raw, written.refuse)
    return dict(substituted)


def _explained(configuration: Devcontainer, written: PropertyReader, document: jsonc.Document) -> Devcontainer:
    """Add notices about the file as written, before older properties were moved."""
    explanations = explain(written, configuration.kind)
    notices = (*configuration.notices, *_repeated(document, written), *_ignored(explanations))
    return replace(
        configuration,
        explanations=explanations,
        notices=tuple(sorted(notices, key=lambda notice: (notice.where.line, notice.where.column))),
        problems=tuple(
            sorted({*written.problems, *configuration.problems}, key=lambda one: (one.line, one.column, one.message))
        ),
    )


def _typed(
    reader: PropertyReader, places: DevcontainerPaths, environment: Mapping[str, str], written: PropertyReader
) -> Devcontainer:
    notices = [*_early_variables(reader), *_no_names(reader), *_cut_defaults(written), *_only_here(reader)]
    kind = fields.kind_of(reader)
    fields.check(reader, kind)
    translation = Translation()
    if kind != "compose":
        translation = run_args.translate(
            reader.texts("runArgs"),
            fields.app_ports(reader),
            environment=environment,
            local=places.local,
            where=reader.where,
        )
    sections = (
        fields.source(reader, kind, places.path.parent)
        | fields.container(reader, kind, translation, notices, option=places.option)
        | fields.place(reader, kind, places.root, places.repository, notices)
        | fields.later(reader)
    )
    return Devcontainer(
        places.path,
        places.root,
        places.repository,
        reader.display,
        reader.value,
        kind,
        reader.positions,
        **sections,
        notices=(*notices, *translation.notices),
        problems=tuple(reader.problems),
    )


def _local(written: PropertyReader) -> frozenset[str]:
    """Return the variables of `remoteEnv` whose value depends on this machine."""
    values = (written.value.get("remoteEnv") or {}) if isinstance(written.value, dict) else {}
    items = values.items() if isinstance(values, dict) else ()
    kinds = {name: set(named(value)) for name, value in items if isinstance(value, str)}
    return frozenset(name for name, used in kinds.items() if used & _OF_MACHINE)


def _identity(places: DevcontainerPaths) -> str:
    return devcontainer_id(
        {"devcontainer.local_folder": str(places.root), "devcontainer.config_file": str(places.path)}
    )


def _uri(places: DevcontainerPaths) -> dict[str, Any]:
    """Return the file's name as the devcontainer CLI prints it: with another scheme if it found the file itself."""
    is_default = places.path in (places.root / FOLDER / FILE, places.root / HIDDEN)
    text = str(places.path)
    return {"$mid": 1, "fsPath": text, "path": text, "scheme": "vscode-fileHost" if is_default else "file"}


def _repeated(document: jsonc.Document, written: PropertyReader) -> Iterator[Notice]:
    for keys in document.repeated:
        yield Notice(written.where(*keys), f"`{keys[-1]}` is a duplicate key: the last value is used")


def _ignored(explanations: tuple[Explanation, ...]) -> Iterator[Notice]:
    for item in explanations:
        if item.outcome == "ignored":
            yield Notice(item.where, f"`{item.key}` is ignored: {item.text}")


def _early_variables(reader: PropertyReader) -> Iterator[Notice]:
    """Report variables that stay as written because nothing replaces them later."""
    for key in _EARLY:
        for keys, text in strings(reader.raw(key), (key,)):
            for name in dict.fromkeys(named(text)):
                if name == "containerEnv":
                    reason = "is only known inside a container, but is needed before one exists"
                elif key == "image":
                    reason = "is not a variable of devcontainer.json and is kept as written"
                else:
                    continue
                yield Notice(reader.where(*keys), f"`${{{name}…}}` {reason}")


def _cut_defaults(written: PropertyReader) -> Iterator[Notice]:
    """Report defaults with a colon: like the devcontainer CLI, `dev` drops what follows it."""
    for keys, text in strings(written.value, ()):
        for _, variable in parts(text):
            kind, *arguments = (variable or "").split(":")
            if kind in ("env", "localEnv") and len(arguments) > 2:
                message = f"the default in `${{{variable}}}` ends at its first colon: `{arguments[1]}`"
                yield Notice(written.where(*keys), message)


def _only_here(reader: PropertyReader) -> Iterator[Notice]:
    """Report variables that lifecycle commands get from `dev`, but not from the devcontainer CLI."""
    for key in LIFECYCLE:
        for keys, text in strings(reader.raw(key), (key,)):
            if "containerEnv" in named(text):
                message = "`${containerEnv:…}` is resolved here; the devcontainer CLI keeps it as written"
                yield Notice(reader.where(*keys), message)


def _no_names(reader: PropertyReader) -> Iterator[Notice]:
    """Report names in `remoteEnv` that no shell can set."""
    for name in reader.mapping("remoteEnv"):
        if not VARIABLE.fullmatch(name):
            yield Notice(
                reader.where("remoteEnv", name),
                f"`{name}` is not a valid shell variable name: lifecycle commands do not get it",
            )

"""The story of `dev init`: write the two files that a project needs, filled in from what is there."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from kamal_dev import config, devcontainer
from kamal_dev.errors import UsageError
from kamal_dev.output import Output
from kamal_dev.project import CONFIG_FILE, PRIVATE, private
from kamal_dev.project.tree import WorkingTree

SECRETS_FILE = ".kamal/secrets"
SCHEMA_FILE = ".kamal/dev.schema.json"


def init(
    folder: Path, output: Output, *, config_path: str | None, devcontainer_path: str | None, force: bool
) -> list[str]:
    """Write config/dev.yml, the schema that editors read it with, and .kamal/secrets, which git ignores.

    Returns the paths written. Raises UsageError where one exists, unless `force`;
    then nothing was written.
    """
    targets = {config_path or CONFIG_FILE: 0o644, SECRETS_FILE: 0o600}
    present = [path for path in targets if (folder / path).exists()]
    if present and not force:
        raise UsageError(
            f"{' and '.join(present)} exist already",
            hint=f"`dev init --force` writes anew, and keeps the old in {PRIVATE}",
        )
    for path in present:
        _keep(folder, path, output)
    found = devcontainer_path or _devcontainer(folder, output)
    templates = files("kamal_dev") / "templates"
    owner = _owner(folder)
    texts = {
        config_path or CONFIG_FILE: config.fill_template(
            (templates / "dev.yml.example").read_text(),
            service=config.service_name(folder.name),
            devcontainer=found,
            registry_user=owner,
        ),
        SECRETS_FILE: config.fill_secrets((templates / "secrets.example").read_text(), username=owner),
    }
    for path, mode in targets.items():
        _write(folder / path, texts[path], mode)
    _write(folder / SCHEMA_FILE, config.schema_text(), 0o644)
    _ignore(folder / ".gitignore", f"/{SECRETS_FILE}")
    output.hint("`dev doctor` checks what a deploy needs; `dev deploy --count 2` runs two stacks")
    return list(targets)


def _devcontainer(folder: Path, output: Output) -> str:
    found = devcontainer.find(WorkingTree(), folder)
    if not found:
        output.warn("No devcontainer.json here yet: a deploy needs .devcontainer/devcontainer.json")
        return ""
    # The first place needs no mention; any other does, so that a deploy does not have to choose.
    return "" if len(found) == 1 else str(found[0].relative_to(folder))


def _owner(folder: Path) -> str:
    """Return the user name in the registry that goes with the project's git remote, empty where none is known."""
    from git import InvalidGitRepositoryError, Repo

    try:
        remotes = Repo(folder, search_parent_directories=True).remotes
    except InvalidGitRepositoryError:
        return ""
    users = (config.guess_registry(url)[1] for remote in remotes for url in remote.urls)
    return next(filter(None, users), "")


def _keep(folder: Path, path: str, output: Output) -> None:
    """Put a file that is about to be overwritten where git ignores it: it may hold the only copy of a secret."""
    kept = private(folder) / f"{Path(path).name}.bak"
    kept.unlink(missing_ok=True)
    _write(kept, (folder / path).read_text(encoding="utf-8"), 0o600)
    output.note(f"Kept the old {path} as {kept.relative_to(folder)}")


def _write(path: Path, text: str, mode: int) -> None:
    """Write by rename, with the final mode from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _ignore(path: Path, line: str) -> None:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if line in text.splitlines() or line.lstrip("/") in text.splitlines():
        return
    path.write_text(text + ("" if not text or text.endswith("\n") else "\n") + f"{line}\n", encoding="utf-8")

"""The story of `dev init`: write the files that a project needs, based on the files it already has."""

from __future__ import annotations

import configparser
import os
import re
from importlib.resources import files
from pathlib import Path

from kamal_dev import compose, config, devcontainer
from kamal_dev.errors import DevcontainerError, DevError, UsageError
from kamal_dev.output import Output
from kamal_dev.project import CONFIG_FILE, PRIVATE, local_path, private, refuse_way_out
from kamal_dev.project.tree import WorkingTree
from kamal_dev.syntax.text import decode

SECRETS_FILE = ".kamal/secrets"
SCHEMA_FILE = ".kamal/dev.schema.json"
IGNORE_FILE = ".gitignore"


def init(
    folder: Path, output: Output, *, config_path: str | None, devcontainer_path: str | None, force: bool
) -> list[str]:
    """Write config/dev.yml with its schema for editors, and .kamal/secrets, which git ignores.

    Returns the paths of all files created or changed. Raises UsageError if config/dev.yml or .kamal/secrets exists,
    unless `force`; then nothing was written.
    """
    targets = {config_path or CONFIG_FILE: 0o644, SECRETS_FILE: 0o600}
    for path in (*targets, SCHEMA_FILE, IGNORE_FILE, PRIVATE):
        refuse_way_out(folder, path)
    present = [path for path in targets if (folder / path).exists()]
    if present and not force:
        raise UsageError(
            f"{' and '.join(present)} exist already",
            hint=f"`dev init --force` overwrites them and keeps backups in {PRIVATE}",
        )
    for path in present:
        _keep(folder, path, output)
    files = devcontainer.find(WorkingTree(), folder)
    file = devcontainer_path or _devcontainer(folder, files, output, config_path or CONFIG_FILE)
    wanted = _wanted(folder, folder / file if file else next(iter(files), None))
    texts = _texts(folder, file, wanted)
    for (path, mode), text in zip(targets.items(), texts, strict=True):
        _write(folder / path, text, mode)
    _write(folder / SCHEMA_FILE, config.schema_text(), 0o644)
    lines = (f"/{SECRETS_FILE}", f"/{local_path(Path(config_path or CONFIG_FILE))}")
    ignored = [_ignore(folder / IGNORE_FILE, line) for line in lines]
    _warn_of_ignored(folder, (config_path or CONFIG_FILE, SCHEMA_FILE), output)
    output.info("`dev doctor` checks what a deploy needs; `dev deploy --count 2` runs two stacks")
    return [*targets, SCHEMA_FILE, *([IGNORE_FILE] if any(ignored) else [])]


def _texts(folder: Path, path: str, wanted: tuple[str, ...]) -> tuple[str, str]:
    """Return the texts of config/dev.yml and .kamal/secrets."""
    templates, owner = files("kamal_dev") / "templates", _owner(folder)
    configuration = config.fill_template(
        (templates / "dev.yml.example").read_text(encoding="utf-8"),
        service=config.service_name(folder.name),
        devcontainer=path,
        registry_user=owner,
    )
    return configuration, config.fill_secrets(
        (templates / "secrets.example").read_text(encoding="utf-8"), username=owner, names=wanted
    )


def _devcontainer(folder: Path, files: tuple[Path, ...], output: Output, config_path: str) -> str:
    if not files:
        output.warn("No devcontainer.json found: a deploy needs .devcontainer/devcontainer.json")
        return ""
    # The default location needs no mention; any other is written down, so that a deploy does not have to choose.
    if len(files) == 1:
        return ""
    chosen, *others = (str(path.relative_to(folder)) for path in files)
    output.warn(
        f"Several devcontainers: {config_path} uses {chosen}, not {', '.join(others)}; "
        "change `image.devcontainer` to use another one, or pass `--devcontainer PATH`"
    )
    return chosen


def _wanted(folder: Path, path: Path | None) -> tuple[str, ...]:
    """Return the secrets that compose files seem to need; none if they cannot be read, which a deploy reports."""
    if path is None:
        return ()
    tree = WorkingTree()
    try:
        text = decode(tree.read(path), str(path), DevcontainerError)
        read = devcontainer.load(text, path, root=folder, environment=os.environ, display=str(path), strict=False)
        composed = devcontainer.compose_files(read, tree=tree, environment=os.environ)
        texts = [tree.read(file).decode() for file in composed]
        beside = {folder / ".env", *(file.with_name(".env") for file in composed)}
        given = "\n".join(tree.read(file).decode() for file in beside if tree.kind(file) == "file")
    except (DevError, OSError, ValueError):
        return ()
    names = dict.fromkeys(name for text in texts for name in compose.secrets(text))
    return tuple(name for name in names if not re.search(rf"(?m)^\s*(?:export\s+)?{name}=", given))


def _owner(folder: Path) -> str:
    """Return the registry's user name that fits the project's git remote, empty if unknown."""
    try:
        # Without git on this machine, importing GitPython fails.
        from git import GitError, Repo
    except ImportError:
        return ""
    try:
        urls = [url for remote in Repo(folder, search_parent_directories=True).remotes for url in remote.urls]
    except (GitError, OSError, ValueError, configparser.Error):
        return ""
    return next(filter(None, (config.guess_registry(url)[1] for url in urls)), "")


def _warn_of_ignored(folder: Path, paths: tuple[str, ...], output: Output) -> None:
    """Warn about files that git ignores although the whole team needs them."""
    try:
        from git import GitError, Repo
    except ImportError:  # git is missing, which GitPython notices on import
        return
    try:
        ignored = Repo(folder, search_parent_directories=True).ignored(*(str(folder / path) for path in paths))
    except GitError:
        return
    shown = [path for path in paths if any(str(name).endswith(path) for name in ignored)]
    if shown:
        them = "it" if len(shown) == 1 else "them"
        output.warn(
            f"git ignores {' and '.join(shown)}, so nobody else gets {them}: `git add --force {' '.join(shown)}` "
            f"adds {them}, or remove the pattern that `git check-ignore -v {shown[0]}` prints"
        )


def _keep(folder: Path, path: str, output: Output) -> None:
    """Move a file that is about to be overwritten to a name that git ignores: it may hold the only copy of a secret."""
    kept = private(folder) / f"{Path(path).name}.bak"
    kept.unlink(missing_ok=True)
    _write(kept, (folder / path).read_text(encoding="utf-8"), 0o600)
    output.info(f"Kept the old {path} as {kept.relative_to(folder)}")


def _write(path: Path, text: str, mode: int) -> None:
    """Write the file by rename, with its final mode from the start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _ignore(path: Path, line: str) -> bool:
    """Add a line to .gitignore; return whether the file had to be changed."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if line in text.splitlines() or line.lstrip("/") in text.splitlines():
        return False
    path.write_text(text + ("" if not text or text.endswith("\n") else "\n") + f"{line}\n", encoding="utf-8")
    return True

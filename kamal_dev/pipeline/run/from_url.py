"""Open the run for a repository that a URL names. Its commands do not run on this machine until it is trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from kamal_dev import devcontainer
from kamal_dev.errors import UsageError
from kamal_dev.output import Output
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import SourceOrigin
from kamal_dev.project.home import home_of
from kamal_dev.project.remote_repository import RemoteRepository, state_folder
from kamal_dev.project.repository_url import RepositoryUrl, parse
from kamal_dev.project.tree import WorkingTree

TRUSTED = "trusted"


def open_url(
    word: str,
    folder: Path,
    output: Output,
    *,
    trust: bool | None = None,
    config_path: str | None = None,
    devcontainer_path: str | None = None,
    environment: Mapping[str, str] | None = None,
    **wanted: Any,
) -> Run:
    """Fetch the repository `URL[@REF]` and return a run with its project; `folder` is where `dev` runs.

    `trust` is remembered for the URL. Raises UsageError, ConfigError, GitFailed.
    """
    environment = os.environ if environment is None else environment
    url = parse(word, folder)
    kept = state_folder(url)
    repository = RemoteRepository(url, output, environment)
    repository.refresh()
    with ExitStack() as stack:
        checkout = stack.enter_context(repository.checked_out(repository.resolve()))
        _require_devcontainer(checkout, url, devcontainer_path)
        home = home_of(
            folder,
            checkout,
            service=url.name,
            environment=environment,
            config_path=config_path,
            kept=kept,
            is_trusting=_is_trusted(kept, url, trust),
        )
        if home.config_file.parent.parent != checkout:
            output.info(f"Using the hosts of {home.config_file}")
        settings = {"devcontainer_path": devcontainer_path, "environment": environment, **wanted}
        run = Run.open(checkout, output, origin=SourceOrigin(home), **settings)
        run.resources.callback(stack.pop_all().close)
    return replace(run, remote_repository=repository)


def _is_trusted(kept: Path, url: RepositoryUrl, trust: bool | None) -> bool:
    """Return whether the user trusts the repository, now or since an earlier run."""
    mark = kept / TRUSTED
    if trust is not None:
        mark.write_text(f"{url.url}\n", encoding="utf-8") if trust else mark.unlink(missing_ok=True)
    return mark.is_file()


def _require_devcontainer(checkout: Path, url: RepositoryUrl, asked: str | None) -> None:
    """Raise UsageError with the places that were searched, and with those that have one."""
    if asked or devcontainer.find(WorkingTree(), checkout) or (checkout / "config/dev.yml").is_file():
        return
    shown = f"{url.url}@{url.ref}" if url.ref else url.url
    elsewhere = sorted(str(path.relative_to(checkout)) for path in checkout.glob("*/**/*devcontainer.json"))
    hint = "it was searched for in .devcontainer/devcontainer.json, .devcontainer.json and .devcontainer/*/"
    if elsewhere:
        hint = f"choose one: {', '.join(f'`--devcontainer {path}`' for path in elsewhere[:5])}"
    raise UsageError(f"{shown} has no devcontainer.json", hint=hint)

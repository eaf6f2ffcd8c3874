"""A repository in place of a stack's name: `dev ssh URL@feature/x` is `dev ssh --repo URL@feature/x feature-x`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kamal_dev.errors import UsageError
from kamal_dev.project.repository_url import is_url, name_of, parse

if TYPE_CHECKING:
    from pathlib import Path

    from kamal_dev.cli.flags import Flags

NAMES = ("name", "names", "words")  # the arguments that name stacks


def with_url(flags: Flags, values: dict[str, Any], folder: Path) -> tuple[Flags, dict[str, Any]]:
    """Return the flags with the repository that an argument names, and the arguments without it.

    With a reference, its stack takes the place of the URL. Raises UsageError for several repositories.
    """
    key = next((key for key in NAMES if key in values), "")
    given = values.get(key)
    words = (given,) if isinstance(given, str) else tuple(given or ())
    urls = [word for word in words if is_url(word)]
    if urls and (flags.repo or len(urls) > 1):
        raise UsageError("several repositories are named", hint="run `dev` once for each")
    if urls:
        ref = parse(urls[0], folder).ref
        flags = replace(flags, repo=urls[0])
        kept = tuple(word for each in words if (word := _stack(ref) if each == urls[0] else each))
        values = {**values, key: next(iter(kept), None) if isinstance(given, str) else kept}
    if flags.trust is not None and not flags.repo:
        raise UsageError("`--trust` is about the repository of a URL", hint="pass `--repo URL`")
    return flags, values


def to_deploy(
    repo: str | None, names: tuple[str, ...], refs: tuple[str, ...], folder: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the stacks and the references to deploy: those of `URL@REF`, unless a stack or `--ref` is named.

    Raises UsageError for two references.
    """
    own = parse(repo, folder).ref if repo else ""
    if not own:
        return names, refs
    if refs:
        raise UsageError(f"`{own}` in the URL and `--ref` are two references", hint="use one of them")
    others = tuple(name for name in names if name != _stack(own))
    return others or (_stack(own),), (own,)


def _stack(ref: str) -> str:
    if not ref:
        return ""
    if name := name_of(ref):
        return name
    raise UsageError(f"no name of a stack can be made of `{ref}`", hint="name the stack: `dev deploy NAME --repo URL`")

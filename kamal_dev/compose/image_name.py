"""Image references as users write them in compose files and Dockerfiles: which are the same? Makes none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kamal_dev.compose import interpolate
from kamal_dev.model import familiar

LONGEST = 512

_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)
_COPIED = re.compile(r"(?:--|[\s,=])from=([^\s,]+)")
_ARG = re.compile(r"^\s*ARG\s+(\w+)=[\"']?([^\s\"']*)", re.IGNORECASE | re.MULTILINE)
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?/)?{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?",
    re.ASCII,
)


def is_reference(name: str) -> bool:
    """Whether an engine takes it for the name of an image. Source: distribution, reference grammar."""
    return len(name) < LONGEST and bool(_REFERENCE.fullmatch(name))


def bases(dockerfile: str, args: Mapping[str, str | None]) -> frozenset[str]:
    """Return the images that a Dockerfile starts or copies from, in their short form.

    Stages of its own are not among them. `args` are build arguments, which win
    over the defaults of `ARG`.
    """
    values = {**dict(_ARG.findall(dockerfile)), **{key: value for key, value in args.items() if value is not None}}
    stages = {stage.lower() for _, stage in _FROM.findall(dockerfile) if stage}
    written = [name for name, _ in _FROM.findall(dockerfile)] + _COPIED.findall(dockerfile)
    named = (_filled(text, values) for text in written)
    return frozenset(familiar(name) for name in named if name.lower() not in stages)


def _filled(text: str, values: Mapping[str, str]) -> str:
    try:
        return interpolate.substitute(text, values.get)
    except ValueError:
        return text

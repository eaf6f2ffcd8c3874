"""`runArgs` and `appPort` as compose keys, for a devcontainer without a compose file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kamal_dev.devcontainer.configuration import Translation
from kamal_dev.devcontainer.draft import Draft
from kamal_dev.devcontainer.run_flags import Flag, flags
from kamal_dev.devcontainer.run_rules import REFUSED, RULES
from kamal_dev.model import Location

Where = Callable[..., Location]


def translate(
    run_args: Sequence[str],
    app_ports: Sequence[str],
    *,
    environment: Mapping[str, str],
    local: Callable[[str], str],
    where: Where,
) -> Translation:
    """Turn flags of `docker run` into their equivalents in a compose file.

    `local` turns a local path into one for the host. A flag without an equivalent in a stack becomes a notice with
    its line.
    """
    draft = Draft(environment, local)
    for index, port in enumerate(app_ports):
        draft.where = where("appPort", index)
        draft.item(f"{port}:{port}" if port.isdecimal() else port, "ports")
    for flag in flags(run_args, RULES.keys() | REFUSED.keys()):
        draft.where = where("runArgs", flag.index)
        if reason := _carry(draft, flag):
            draft.notice(f"`{flag.written}` in runArgs is ignored: {reason}")
    return draft.done()


def _carry(draft: Draft, flag: Flag) -> str:
    if not flag.name:
        return "it is not a flag"
    if flag.value is None and flag.name in RULES.keys() | REFUSED.keys():
        return "its value is missing"
    if flag.name in REFUSED:
        return REFUSED[flag.name]
    if flag.name in RULES:
        take, key = RULES[flag.name]
        return take(draft, flag.value or "", key)
    if " " in flag.name:
        return "flag and value are one argument: split them"
    return "it has no equivalent in Compose"

"""Keep secrets out of places that others can read: which variables a devcontainer.json may mention, and where."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kamal_dev.devcontainer.reader import PropertyReader
from kamal_dev.devcontainer.substitution import Keys, parts
from kamal_dev.values import dataclass

# `remoteEnv` is sent on stdin, to files that only its user can read; `customizations` are for local editors.
_APART = ("remoteEnv", "customizations")
_ENVIRONMENT = ("env", "localEnv")


@dataclass(frozen=True)
class Private:
    """Name the variables with secret values; `given` are those that the main service has under their own names."""

    names: Collection[str] = ()
    given: Collection[str] = ()

    def left_out(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return an environment without their values; the caller sets the given ones."""
        shown = {name: value for name, value in environment.items() if name not in self.names}
        return {**shown, **dict.fromkeys(self.given, "")}

    def refuse(self, written: PropertyReader) -> None:
        """Add a problem for each place whose value would end up in an image, an argument, a label or a compose file."""
        top = written.value if isinstance(written.value, dict) else {}
        for keys, text in strings({key: value for key, value in top.items() if key not in _APART}):
            for name in dict.fromkeys(_local(text)):
                if name in self.names and not self._is_own(keys, text, name):
                    written.refuse(keys, _reason(name))

    def _is_own(self, keys: Keys, text: str, name: str) -> bool:
        """Return whether it is `"NAME": "${localEnv:NAME}"`, which the list of secrets provides without the value."""
        is_all = text.startswith("${") and text.find("}") == len(text) - 1
        return keys == ("containerEnv", name) and is_all and name in self.given


NOTHING = Private()


def strings(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """Yield every string in a value with the keys that lead to it."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, (list, dict)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from strings(item, (*keys, key))


def _local(text: str) -> Iterator[str]:
    for _, variable in parts(text):
        kind, *arguments = (variable or "").split(":")
        if kind in _ENVIRONMENT and arguments:
            yield arguments[0]


def _reason(name: str) -> str:
    return (
        f"refers to the secret `{name}`, whose value others could read; list it in `secrets` of config/dev.yml, "
        "which gives it to the main service under this name, use `remoteEnv` for another name, and "
        "`build.secrets` in a build"
    )

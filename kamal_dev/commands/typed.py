"""Check whether JSON from a host has the expected types. Does no I/O."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

hints: Callable[[type], dict[str, Any]] = cache(get_type_hints)


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value has an annotated type; lists count as tuples, and the content of maps is not checked."""
    origin = get_origin(hint)
    if hint is Any or value is None:
        return hint is Any or hint is type(None) or type(None) in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(item, get_args(hint)[0]) for item in value)
    if origin is not None:
        return isinstance(value, Mapping) if issubclass(origin, Mapping) else True
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)

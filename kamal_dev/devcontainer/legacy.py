"""Move the older top-level properties of editors to their current place."""

from __future__ import annotations

from typing import Any


def modern(raw: dict[str, Any]) -> dict[str, Any]:
    """Move `extensions`, `settings` and `devPort` into `customizations.vscode`.

    Existing settings take precedence; extensions are appended. If there is a `devPort`, the older one stays
    unchanged.
    """
    if not (_is_true(raw.get("extensions")) or _is_true(raw.get("settings")) or "devPort" in raw):
        return raw
    moved = dict(raw)
    customizations = _object(moved.get("customizations"))
    editor = _object(customizations.get("vscode"))
    if _is_true(moved.get("extensions")):
        editor["extensions"] = [*_list(editor.get("extensions")), *_list(moved.pop("extensions"))]
    if _is_true(moved.get("settings")):
        editor["settings"] = {**_object(moved.pop("settings")), **_object(editor.get("settings"))}
    if "devPort" in moved and "devPort" not in editor:
        editor["devPort"] = moved.pop("devPort")
    return {**moved, "customizations": {**customizations, "vscode": editor}}


def _is_true(value: Any) -> bool:
    """Return whether the value is truthy in JavaScript: an empty list or object is."""
    return isinstance(value, (list, dict)) or bool(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}

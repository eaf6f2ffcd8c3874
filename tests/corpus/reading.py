"""1 Reading: `dev config` has what `read-configuration` has."""

from __future__ import annotations

import json
from typing import Any

from tests.corpus import strictness
from tests.corpus.replay import Replay, Verdict


def check(replay: Replay) -> Verdict:
    """Compare properties, substitution, and the workspace that follows from them."""
    answer = replay.configured
    if answer.exit_code:
        path = replay.checkout.root / replay.checkout.config
        if replay.says_where(answer, column=True) and not strictness.is_jsonc(path.read_bytes()):
            return Verdict(note=f"refused: {answer.errors.splitlines()[0]}")
        return Verdict((answer.errors.strip(),))
    found, expected = answer.json, replay.checkout.expected("read-configuration")
    return Verdict(
        (
            *differences(found["devcontainer"], expected["configuration"]),
            *differences(found["workspace"], expected["workspace"]),
        )
    )


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
    """Return what differs, one line per value; `1`, `1.0` and `true` are three."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [*expected, *(key for key in found if key not in expected)]
        return [
            line for key in keys for line in differences(found.get(key), expected.get(key), f"{path}.{key}".strip("."))
        ]
    if json.dumps(found) == json.dumps(expected):
        return []
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for index, (one, other) in pairs for line in differences(one, other, f"{path}[{index}]")]
    return [f"{path}: {json.dumps(found)} should be {json.dumps(expected)}"]

"""Suggest a command for an unknown word: a typing error, or a word of Kamal, Compose or kubectl."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_GROUPS = ("app", "accessory", "server", "proxy", "registry", "rollout")
OTHERS = {
    # Kamal
    **{"app logs": "logs", "app exec": "exec", "app details": "status", "app containers": "status", "app stop": "stop"},
    **{"app boot": "restart", "app start": "start", "app version": "versions", "app images": "versions"},
    **{"app remove": "remove", "app stale_containers": "prune", "app": "status", "details": "status"},
    **{"accessory logs": "logs", "accessory exec": "exec", "accessory details": "status", "accessory boot": "start"},
    **{"accessory reboot": "restart", "accessory restart": "restart", "accessory start": "start"},
    **{"accessory stop": "stop", "accessory remove": "remove", "accessory": "status"},
    **{"server exec": "ssh", "server bootstrap": "deploy", "server": "doctor", "registry": "doctor"},
    **{"proxy logs": "logs", "proxy": "forward", "setup": "deploy", "redeploy": "deploy", "secrets": "config"},
    **{"env": "config", "console": "ssh", "shell": "ssh", "bash": "ssh", "delivery": "push"},
    # Docker and Compose
    **{"up": "deploy", "down": "remove", "ps": "status", "ls": "list", "run": "exec", "kill": "stop", "rm": "remove"},
    **{"create": "deploy", "images": "versions", "events": "audit", "port": "forward", "ports": "forward"},
    **{"attach": "ssh", "top": "status", "stats": "status", "log": "logs", "inspect": "status", "info": "doctor"},
    # kubectl, git and others
    **{"apply": "deploy", "get": "list", "describe": "status", "delete": "remove", "destroy": "remove"},
    **{"port-forward": "forward", "rollout undo": "rollback", "rollout restart": "restart", "rollout": "status"},
    **{"undo": "rollback", "revert": "rollback", "diff": "plan", "fetch": "pull", "history": "audit", "code": "open"},
}


def suggestion(words: Sequence[str], known: Iterable[str]) -> tuple[str, str]:
    """Return the unknown word (or two words), and the command that is meant; empty if none."""
    known = tuple(known)
    pair = " ".join(words[:2])
    if words[0] in _GROUPS and pair in OTHERS:
        return pair, _known(OTHERS[pair], known)
    if words[0] in OTHERS:
        return words[0], _known(OTHERS[words[0]], known)
    near = difflib.get_close_matches(words[0], (*known, *OTHERS), n=1)
    return words[0], _known(OTHERS.get(near[0], near[0]), known) if near else ""


def _known(command: str, known: tuple[str, ...]) -> str:
    return command if command in known else ""

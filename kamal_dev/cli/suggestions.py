"""Suggest a command for an unknown word: a typing error, or a word of Kamal, Compose or kubectl."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

OTHERS = {
    # Kamal
    **{"app logs": "logs", "app exec": "exec", "app details": "status", "app containers": "status", "app stop": "stop"},
    **{"app boot": "restart", "app start": "start", "app version": "versions", "app images": "versions"},
    **{"app remove": "remove", "app stale_containers": "prune", "app": "status", "details": "status"},
    **{"app restart": "restart", "app live": "start", "app maintenance": "stop"},
    **{"accessory logs": "logs", "accessory exec": "exec", "accessory details": "status", "accessory boot": "start"},
    **{"accessory reboot": "restart", "accessory restart": "restart", "accessory start": "start"},
    **{"accessory stop": "stop", "accessory remove": "remove", "accessory": "status"},
    **{"server exec": "exec", "server bootstrap": "deploy", "server": "doctor", "registry": "doctor"},
    **{"accessory upload": "deploy", "accessory directories": "deploy", "accessory upgrade": "deploy"},
    **{"build push": "push", "build deliver": "push", "build details": "doctor", "build create": "doctor"},
    **{"build dev": "build", "build pull": "deploy", "prune all": "prune", "prune images": "prune"},
    **{
        "prune containers": "prune",
        "docs": "--help",
        "help": "--help",
        "version": "--version",
        "healthcheck": "status",
    },
    **{
        "proxy details": "status",
        "proxy logs": "logs",
        "proxy": "forward",
        "traefik": "forward",
        "setup": "deploy",
        "redeploy": "deploy",
        "secrets": "config",
    },
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
    if words[0] == "help" and words[1:2] and words[1] in known:
        return pair, f"{words[1]} --help"
    if pair in OTHERS:
        return pair, _known(OTHERS[pair], known)
    if words[0] in OTHERS:
        return words[0], _known(OTHERS[words[0]], known)
    begun = [command for command in known if command.startswith(words[0])]
    near = begun if len(begun) == 1 else difflib.get_close_matches(words[0], (*known, *OTHERS), n=1)
    return words[0], _known(OTHERS.get(near[0], near[0]), known) if near else ""


def _known(command: str, known: tuple[str, ...]) -> str:
    return command if command in known or command.startswith("--") else ""

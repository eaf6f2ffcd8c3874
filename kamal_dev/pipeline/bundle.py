"""The story of `dev doctor --bundle`: collect what a bug report needs in one archive, without secrets."""

from __future__ import annotations

import gzip
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kamal_dev import __version__
from kamal_dev.commands.payload import tar
from kamal_dev.errors import DevError
from kamal_dev.model import REDACTED, File, Host
from kamal_dev.output.redaction import Redaction
from kamal_dev.pattern import pattern
from kamal_dev.pipeline.config import resolved
from kamal_dev.pipeline.hosts.checks import Check
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.status import look
from kamal_dev.project import Project, audit_log

RECORDS = 200
# Values that people write into these may be secrets that nobody has declared; what services print may be anything.
_VALUES = pattern(
    r"env$|environment|args$|options$|command$|^log$|features$|customizations|webhook|email|secret|password|token"
    r"|credential|_key$",
    re.IGNORECASE,
)
# The same in text, such as the reason why something failed: in an address, after a name, by its form.
_IN_TEXT = (
    pattern(r"(?<=://)[^/\s\"'`]+(?=@)"),
    pattern(r"(?<=\?)[^\s\"'`?#]+=[^\s\"'`#]+"),
    pattern(
        r"(?<![a-z])(?:[\w-]*(?:passw(?:or)?d|secret|token|api_?-?key|credentials?|authorization)[\w-]*"
        r"\\?[\"']?\s*[=:]\s*\\?[\"']?(?:bearer |basic )?)([^\s\"'\\,;]+)",
        re.IGNORECASE,
    ),
    pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    pattern(
        r"\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|sk[-_](?:live|ant|proj)|AKIA|ASIA|npm_|dop_v1_)[\w-]{10,}"
        r"|\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*"
    ),
)


def write(path: Path, files: Mapping[str, Any], redaction: Redaction) -> None:
    """Write each value as a JSON file in a compressed tar, without secrets. Raises DevError."""
    members = [
        File(f"{path.name.partition('.')[0]}/{name}.json", _text(value, redaction).encode(), 0o600)
        for name, value in files.items()
    ]
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(gzip.compress(tar(members), mtime=0))
    except OSError as error:
        raise DevError(f"could not write {path}: {error.strerror or error}") from error


def machine(checks: Iterable[Check]) -> dict[str, Any]:
    """Return what is known without a project: the results of the checks, and versions."""
    return {
        "checks": [check.as_json() for check in checks],
        "versions": {"kamal-dev": __version__, "python": sys.version, "platform": platform.platform()},
    }


def project_files(project: Project, connections: HostConnections, stacks: Mapping[str, Host]) -> dict[str, Any]:
    """Return the resolved configuration, the state of all stacks, and the last changes that this machine made."""
    return {
        "config": resolved(project),
        "stacks": [stack.as_json() for stack in look(connections, stacks.items())],
        "audit": [_change(record) for record in audit_log.read(project.private())[-RECORDS:]],
    }


def _change(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its verb under a name that is shown."""
    return {"verb" if name == "command" else name: value for name, value in record.items()}


def _text(value: Any, redaction: Redaction) -> str:
    shown = json.dumps(redaction.within(harmless(value)), indent=2, ensure_ascii=False, default=str)
    return redaction(shown) + "\n"


def harmless(value: Any) -> Any:
    """Return JSON data without values that may be secrets although nobody has declared them."""
    if isinstance(value, Mapping):
        return {name: _hidden(item) if _VALUES.search(str(name)) else harmless(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [harmless(item) for item in value]
    return _without_secrets(value) if isinstance(value, str) else value


def _without_secrets(text: str) -> str:
    for secret in _IN_TEXT:
        text = secret.sub(_redacted, text)
    return text


def _redacted(match: re.Match[str]) -> str:
    """Return a match without its group, or all of it."""
    return match[0].replace(match[1], REDACTED) if match.lastindex else REDACTED


def _hidden(value: Any) -> Any:
    """Keep the names of variables, and the shape."""
    if isinstance(value, Mapping):
        return {name: _hidden(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(item) for item in value]
    return value if value is None or isinstance(value, bool) or value in ("", 0) else REDACTED

"""Run `dev` in this process, as a shell would, and `docker compose config` beside it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kamal_dev.cli.app import app
from kamal_dev.cli.exit import guarded
from tests.compose import oracle

HOME = "/home/tester"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": HOME, "USER": "tester", "LANG": "C.UTF-8"}
# Where the plugins of this user's client are, if it has its own.
PLUGINS = {"DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))}


@dataclass(frozen=True)
class Answer:
    """Say how a command ended."""

    exit_code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """What stdout says."""
        return json.loads(self.output)


def dev(*words: str, cwd: Path) -> Answer:
    """Run `dev` in `cwd` with a clean environment."""
    output, errors = _stream(), _stream()
    with _surroundings(cwd), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = guarded(app, list(words))
    return Answer(code, output.buffer.getvalue().decode(), errors.buffer.getvalue().decode())  # type: ignore[attr-defined]


def compose(cwd: Path, *flags: str, environment: dict[str, str] | None = None) -> Answer:
    """Run `docker compose … config` in `cwd` with a clean environment."""
    result = subprocess.run(
        [*oracle.compose(), *flags, "config", "--format", "json"],
        cwd=cwd,
        env={**PLUGINS, **ENVIRONMENT, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Answer(result.returncode, result.stdout, result.stderr)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


@contextlib.contextmanager
def _surroundings(cwd: Path) -> Iterator[None]:
    before, environment = Path.cwd(), dict(os.environ)
    os.chdir(cwd)
    _become(ENVIRONMENT)
    try:
        yield
    finally:
        os.chdir(before)
        _become(environment)


def _become(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)

"""`python -m tests.corpus.record FOLDER [NAME …]`: write down what the reference implementation answers for cases.

Needs `devcontainer` of @devcontainers/cli and Compose, but no engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.corpus import command, stand_in
from tests.corpus.case import Checkout, cases, checkout

IMAGE = "registry.example/acme/app:0000000"


def main(words: list[str]) -> None:
    """Write the `expected-*` files of every case asked for."""
    for case in cases(Path(words[0]), tuple(words[1:])):
        with checkout(case) as copy:
            for old in case.folder.glob("expected-*"):
                old.unlink()
            _write(copy, "read-configuration", _reading(copy))
            _record_build(copy)
            _record_compose(copy)
        print(case.name)


def _reading(copy: Checkout) -> Any:
    result = _devcontainer(copy, "read-configuration")
    return json.loads(result.stdout)


def _record_build(copy: Checkout) -> None:
    with TemporaryDirectory(prefix="stand-in-") as folder:
        wrapper, log = Path(folder, "docker"), Path(folder, "log")
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in.__file__}" "$@"\n')
        wrapper.chmod(0o755)
        found = {"STAND_IN_LOG": str(log), "STAND_IN_DOCKER": shutil.which("docker") or "docker", "TMPDIR": folder}
        words = ("--docker-path", str(wrapper), "--image-name", IMAGE, "--no-lockfile")
        push = () if "dockerComposeFile" in _reading(copy)["configuration"] else ("--push",)
        result = _devcontainer(copy, "build", *words, *push, environment=found)
        calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    said = json.loads(result.stdout or "{}")
    if result.returncode:
        _write(copy, "build-argv.error", {"rc": result.returncode, "result": said})
    else:
        _write(copy, "build-argv", {"rc": 0, "calls": calls})


def _record_compose(copy: Checkout) -> None:
    said = _reading(copy)["configuration"]
    named = said.get("dockerComposeFile")
    if not named:
        return
    folder = (copy.root / copy.config).parent
    files = [named] if isinstance(named, str) else named
    flags = [word for name in files for word in ("-f", os.path.normpath(folder / name))]
    plain, everything = command.compose(copy.root, *flags), command.compose(copy.root, *flags, "--profile", "*")
    if plain.exit_code:
        (copy.case.folder / "expected-compose.error.txt").write_text(_tokens(copy, plain.errors))
        return
    _write(copy, "compose", plain.json)
    if everything.exit_code == 0 and everything.json != plain.json:
        _write(copy, "compose-all-profiles", everything.json)


def _devcontainer(
    copy: Checkout, verb: str, *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    config = ("--config", copy.config) if copy.case.about["explicit_config"] else ()
    return subprocess.run(
        ["devcontainer", verb, "--workspace-folder", ".", *config, *words],
        cwd=copy.root,
        env={**command.PLUGINS, **command.ENVIRONMENT, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def _write(copy: Checkout, name: str, data: Any) -> None:
    path = copy.case.folder / f"expected-{name}.json"
    path.write_text(_tokens(copy, json.dumps(data, indent=1, ensure_ascii=False)) + "\n")


def _tokens(copy: Checkout, text: str) -> str:
    text = text.replace(str(copy.top), "{{CHECKOUT}}").replace(str(copy.top.parent), "{{CHECKOUT_PARENT}}")
    text = re.sub(r"-\d{13}\b", "-{{TS}}", re.sub(r"\b[0-9a-f]{64}\b", "{{HASH}}", text))
    return re.sub(r"/tmp/stand-in-\w+(?:/devcontainercli-?\w*)?(?:/[\d.]+-\d+)?", "{{TMP}}", text)


if __name__ == "__main__":
    main(sys.argv[1:])

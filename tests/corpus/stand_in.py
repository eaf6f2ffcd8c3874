"""A `docker` that writes its command lines down, asks the real one for what changes nothing, and builds nothing.

Set by the recorder: STAND_IN_LOG names the file of JSON lines, STAND_IN_DOCKER the real program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

IMAGE = [{"Id": "sha256:0", "Config": {"User": "", "Env": [], "Labels": {}, "Entrypoint": None, "Cmd": None}}]
LOOKS = (["version"], ["buildx", "version"], ["compose", "version"])


def main(words: list[str]) -> int:
    """Answer one command line."""
    if words in LOOKS or words[0] == "version" or (words[0] == "compose" and "config" in words):
        return subprocess.run([os.environ["STAND_IN_DOCKER"], *words], check=False).returncode
    if words[0] == "inspect":
        print(json.dumps(IMAGE))
        return 0
    if words[0] == "tag" or (words[0] in ("buildx", "compose") and "build" in words):
        files = [word for flag, word in zip(words, words[1:], strict=False) if flag == "-f"]  # noqa: RUF007
        generated = {file: Path(file).read_text() for file in files if "/devcontainercli" in file}
        for text in list(generated.values()):
            generated |= {path: Path(path).read_text() for path in _dockerfiles(text)}
        with Path(os.environ["STAND_IN_LOG"]).open("a") as log:
            log.write(json.dumps({"argv": words, "files": generated}) + "\n")
    return 0


def _dockerfiles(text: str) -> list[str]:
    """Return the generated Dockerfiles that a generated compose file names."""
    words = (line.strip().partition("dockerfile: ")[2] for line in text.splitlines() if "dockerfile: " in line)
    return [word for word in words if word.startswith("/")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

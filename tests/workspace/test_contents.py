"""What a host tells of the compose files of a release: these and no other file, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.resources import files
from pathlib import Path

from kamal_dev.commands import answers, host
from kamal_dev.commands.payload import SCRIPTS

TEXT = 'services:\n  app:\n    image: "täst"\n    command: [echo, "\\t"]  # \\ and\ttab\n'


def test_a_host_tells_of_the_compose_files_that_its_release_names_and_of_no_other(tmp_path: Path) -> None:
    release = tmp_path / ".kamal-dev/blog-1/releases/v1-1"
    (release / ".devcontainer").mkdir(parents=True)
    named = [".devcontainer/compose.yaml", "kamal-dev.overlay.yaml", "gone.yaml"]
    (release / "manifest.json").write_text(json.dumps({"stack": "blog-1", "files": named, "images": {}}, indent=2))
    (release / ".devcontainer/compose.yaml").write_text(TEXT)
    (release / "kamal-dev.overlay.yaml").write_text("services: {}\n")
    (release / ".env").write_text("SECRET=hidden\n")
    (tmp_path / ".kamal-dev/blog-1/current").symlink_to("releases/v1-1")
    folder = files("kamal_dev") / "host"
    step = host.contents({name: (folder / name).read_text() for name in SCRIPTS}, "blog-1")
    ended = subprocess.run(
        step.argv, input=step.stdin, capture_output=True, check=False, env={**os.environ, "HOME": str(tmp_path)}
    )
    output = ended.stdout.decode()
    assert answers.has_ended(output), ended
    assert answers.contents(output).files == {named[0]: TEXT, named[1]: "services: {}\n"}
    assert "hidden" not in output

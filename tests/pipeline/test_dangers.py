"""What an image asks for of itself, as Features do in its label, is warned of as what the user wrote is."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from kamal_dev.commands.facts import Facts, HeldImage
from kamal_dev.errors import ConfigError
from kamal_dev.model import ImageConfig
from kamal_dev.output import Event, Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.images.metadata import Metadata
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import SourceOrigin

SOCKET = "source=/var/run/docker.sock,target=/var/run/docker-host.sock,type=bind"


def test_a_socket_and_privileges_that_the_image_brings_are_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / ".devcontainer.json").write_text('{"image": "acme/tools:1"}')
    events: list[Event] = []
    run = Run.open(tmp_path, Output(events.append), environment=dict(os.environ))
    label = json.dumps([{"id": "docker-outside-of-docker", "mounts": [SOCKET], "privileged": True}])
    facts = Facts(images=(HeldImage(("acme/tools:1",), ImageConfig(label)),))
    metadata = Metadata(run.project, run.tools)
    metadata.merged(facts)
    metadata.merged(facts)
    warnings = [sentence(event) for event in events if event.status == "warning"]
    assert len(warnings) == 2
    assert all("root access to the host" in text and "acme/tools:1" in text for text in warnings)
    assert Metadata(run.project, run.tools).merged(Facts()).additions == run.project.additions
    assert len(events) == 2


def test_an_image_of_a_repository_that_is_not_trusted_gets_no_power_over_this_machine(tmp_path: Path) -> None:
    (tmp_path / ".devcontainer.json").write_text('{"image": "acme/tools:1"}')
    output = Output(lambda event: None)
    trusting = Run.open(tmp_path, output, environment=dict(os.environ))
    home = replace(trusting.project.home, is_trusting=False)
    run = Run.open(tmp_path, output, environment=dict(os.environ), origin=SourceOrigin(home))
    for entry in ({"mounts": [SOCKET]}, {"privileged": True}, {"capAdd": ["SYS_ADMIN"]}):
        facts = Facts(images=(HeldImage(("acme/tools:1",), ImageConfig(json.dumps([entry]))),))
        assert Metadata(trusting.project, trusting.tools).merged(facts)
        with pytest.raises(ConfigError, match="the hosts are on this machine") as caught:
            Metadata(run.project, run.tools).merged(facts)
        assert "--trust" in caught.value.hint

"""What there is to pull, asked of a registry elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kamal_dev.commands.facts import Facts
from kamal_dev.model import Image, Result, Step
from kamal_dev.pipeline.images.layers import ENOUGH, Layers
from kamal_dev.shell.recorder import Recorder

PART = f"sha256:{'b' * 64}"
IMAGE = Image("registry.example.com", "acme/blog-dev", "v1", f"sha256:{'a' * 64}")
OTHER = Image("registry.example.com", "acme/other", "v1")
INDEX = {"manifests": [{"digest": PART, "platform": {"os": "linux", "architecture": "arm64"}}]}
MANIFEST = {"config": {"digest": "sha256:c"}, "layers": [{"size": 1000}, {"size": 2000}]}
CONFIG = {"linux/arm64": {"rootfs": {"diff_ids": ["sha256:base", "sha256:own"]}}}
NEEDY = Facts(arch="arm64", disk_free=1)


def answer(step: Step) -> Result:
    """Have one image, for one platform."""
    if "acme/other" in step.argv[-1]:
        return Result(step, 1, errors="not found")
    said: Any = CONFIG if "--format" in step.argv else MANIFEST if PART in step.argv[-1] else INDEX
    return Result(step, 0, json.dumps(said))


@pytest.fixture
def shell() -> Recorder:
    return Recorder(answer=answer)


def test_the_layers_of_the_hosts_platform_are_asked_for_once(shell: Recorder) -> None:
    layers = Layers(shell, "/credential")
    assert layers.to_pull([IMAGE], NEEDY) == (("sha256:base", 1000), ("sha256:own", 2000))
    assert layers.to_pull([IMAGE, IMAGE], NEEDY) == (("sha256:base", 1000), ("sha256:own", 2000))
    inspect = "$ docker buildx imagetools inspect"
    assert shell.transcript == [
        f"{inspect} --raw {IMAGE.name}@{IMAGE.digest}",
        f"{inspect} --raw {IMAGE.name}@{PART}",
        f"{inspect} --format '{{{{json .Image}}}}' {IMAGE.name}@{IMAGE.digest}",
    ]
    assert {step.environment for step in shell.steps} == {(("DOCKER_CONFIG", "/credential"),)}


def test_an_image_without_a_manifest_counts_for_nothing(shell: Recorder) -> None:
    assert Layers(shell).to_pull([OTHER, IMAGE], NEEDY) == (("sha256:base", 1000), ("sha256:own", 2000))


@pytest.mark.parametrize("free", [0, ENOUGH])
def test_nobody_asks_for_a_host_with_plenty_of_room_or_one_that_did_not_say(shell: Recorder, free: int) -> None:
    assert Layers(shell).to_pull([IMAGE], Facts(arch="arm64", disk_free=free)) == ()
    assert shell.steps == []

from __future__ import annotations

import json

import pytest

from kamal_dev.commands import image_manifest

AMD, ARM = "sha256:amd", "sha256:arm"
INDEX = json.dumps(
    {
        "manifests": [
            {"digest": ARM, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": AMD, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": "sha256:attestation", "platform": {"os": "unknown", "architecture": "unknown"}},
        ]
    }
)
MANIFEST = json.dumps({"config": {"digest": "sha256:config"}, "layers": [{"size": 10}, {"size": 20}]})
LAYERS = (("sha256:one", 10), ("sha256:two", 20))


def config(*digests: str) -> dict[str, object]:
    return {"rootfs": {"type": "layers", "diff_ids": list(digests)}}


def test_of_an_index_the_hosts_own_platform_is_chosen() -> None:
    assert image_manifest.part(INDEX, "amd64") == AMD
    assert image_manifest.part(INDEX, "riscv64") == ""
    assert image_manifest.part(MANIFEST, "amd64") == ""


def test_layers_are_named_by_what_they_unpack_to() -> None:
    own = config("sha256:one", "sha256:two")
    assert image_manifest.configuration(MANIFEST) == "sha256:config"
    assert image_manifest.layers(MANIFEST, json.dumps(own), "amd64") == LAYERS
    each = {"linux/arm64/v8": config("sha256:x", "sha256:y"), "linux/amd64": own}
    assert image_manifest.layers(MANIFEST, json.dumps(each), "amd64") == LAYERS


@pytest.mark.parametrize("text", ["", "not found", "[]", "{}", json.dumps(config("sha256:one"))])
def test_what_does_not_belong_together_counts_for_nothing(text: str) -> None:
    assert image_manifest.layers(MANIFEST, text, "amd64") == ()
    assert image_manifest.layers(text, json.dumps(config("sha256:one")), "amd64") == ()
    assert image_manifest.part("not found", "amd64") == image_manifest.configuration("[]") == ""

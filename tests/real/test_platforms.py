"""Images of another platform, on a real host."""

from __future__ import annotations

from tests.real.lab import Host, Lab

# Nothing of the other platform runs in the build, so that no emulator is needed.
BUILD = "build: {platform: linux/arm64}\n"
OTHER = 'FROM --platform=$BUILDPLATFORM debian:12\nCMD ["sleep", "infinity"]\n'


def test_an_image_of_another_platform_never_stops_what_runs(lab: Lab, host: Host) -> None:
    repository = lab.small("otherarch", [host])
    repository.dev("deploy")
    stack, before = repository.stack(), host.started(repository.stack())
    settings = (repository.root / "config/dev.yml").read_text()
    repository.commit({".devcontainer/Dockerfile": OTHER, "config/dev.yml": f"{settings}{BUILD}"})
    ended = repository.dev("deploy", "--verbose", code=1)
    assert "is an image for linux/arm64, but the host is linux/amd64" in ended.stderr
    assert "build.platform: linux/amd64" in ended.stderr
    assert not [step for step in ended.steps(stack) if "apply" in step]
    # Built for the other platform beforehand: only the image itself says so.
    repository.dev("build", "--platform", "linux/arm64")
    repository.commit({"config/dev.yml": settings})
    repository.dev("build", "--platform", "linux/arm64")
    late = repository.dev("deploy", "--skip-build", code=1)
    assert "is an image for linux/arm64, but the host is linux/amd64" in late.stderr
    assert host.states(stack) == {"app": "running"}
    assert host.started(stack) == before

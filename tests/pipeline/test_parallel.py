"""Images are made side by side, but for those that are built from others."""

from __future__ import annotations

from threading import Barrier, BrokenBarrierError

import pytest

from kamal_dev.errors import BuildFailed
from kamal_dev.model import Build, Image, Location
from kamal_dev.pipeline.images.parallel import each_image


def build(name: str, base: str = "") -> Build:
    contexts = (("base", f"docker-image://{image(base)}"),) if base else ()
    return Build(services=(name,), context="/src", image=image(name), contexts=contexts, where=Location("compose.yaml"))


def image(name: str) -> Image:
    return Image("ghcr.io", name, "v1")


def test_images_that_do_not_need_each_other_are_made_at_the_same_time() -> None:
    both = Barrier(2, timeout=20)

    def work(one: Build) -> str:
        both.wait()
        return one.services[0]

    assert each_image((build("app"), build("web")), work) == ["app", "web"]


def test_an_image_is_made_after_the_one_it_is_built_from() -> None:
    ended: list[str] = []
    alone = Barrier(2, timeout=0.3)

    def work(one: Build) -> str:
        with pytest.raises(BrokenBarrierError):
            alone.wait()
        alone.reset()
        ended.append(one.services[0])
        return one.services[0]

    assert each_image((build("base"), build("app", "base")), work) == ["base", "app"]
    assert ended == ["base", "app"]


def test_every_failure_is_reported_once_and_nothing_is_built_from_it() -> None:
    begun: list[str] = []

    def work(one: Build) -> None:
        begun.append(one.services[0])
        raise BuildFailed(f"the build of {one.services[0]} failed")

    with pytest.raises(BuildFailed) as failure:
        each_image((build("base"), build("app", "base"), build("web")), work)
    assert failure.value.message == "the build of base failed\nat the same time: the build of web failed"
    assert sorted(begun) == ["base", "web"]

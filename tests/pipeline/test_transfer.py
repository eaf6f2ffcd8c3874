"""Images that cannot be packed for a host, each with what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from kamal_dev.errors import NothingBuilt
from kamal_dev.model import Step
from kamal_dev.output import Event, Output
from kamal_dev.pipeline.hosts import transfer
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.shell.local import Local

ERRORS = {
    "full": (OSError(errno.ENOSPC, "No space left on device"), "free space in "),
    "absent": (
        OSError("`docker image save` exited 1: No such image: a:1"),
        "run `dev build`",
    ),
    "silent": (OSError("`docker image save` exited 1: Cannot connect to the Docker daemon"), "check Docker"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_image_that_cannot_be_packed_is_told_with_its_cause(name: str) -> None:
    error, hint = ERRORS[name]

    class Failing(Local):
        def stream(self, step: Step) -> Iterator[bytes]:
            yield b"begun"
            raise error

    with ExitStack() as resources, pytest.raises(NothingBuilt, match="could not pack") as failed:
        tools = LocalTools(Failing(), Output(lambda event: None), resources)
        ImageTransfer(tools, cast(HostConnections, None)).pack(("a:1",))
    assert failed.value.hint.startswith(hint)


def test_how_far_packing_is_belongs_to_the_images_that_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saving(Local):
        def stream(self, step: Step) -> Iterator[bytes]:
            yield from (b"one", b"two")

    monkeypatch.setattr(transfer, "TELLING", 0)
    events: list[Event] = []
    with ExitStack() as resources:
        tools = LocalTools(Saving(), Output(events.append), resources)
        ImageTransfer(tools, cast(HostConnections, None)).pack(("a:1", "b:2"))
    assert {event.status for event in events} == {"started", "progress", "done"}
    assert {event.subject for event in events} == {"a:1, b:2"}

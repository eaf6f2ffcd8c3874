"""Images that cannot be packed for a host, each with what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from kamal_dev.errors import NothingBuilt, PullFailed
from kamal_dev.model import Host, Step
from kamal_dev.output import Event, Output
from kamal_dev.pipeline.hosts import transfer
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.shell import Shell
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


def test_images_are_sent_once_to_a_host_with_several_stacks() -> None:
    sent: list[str] = []

    class Sending(ImageTransfer):
        def send(self, host: str, shell: Shell, load: Step, references: tuple[str, ...]) -> None:
            sent.append(f"{host} {' '.join(references)}")
            if len(sent) == 1:
                raise PullFailed(host, "the disk is full")

    with ExitStack() as resources:
        tools = LocalTools(Local(), Output(lambda event: None), resources)
        transfer = Sending(tools, cast(HostConnections, None))
        one, two, other = Host("blog-1", "10.0.0.1"), Host("blog-2", "10.0.0.1"), Host("blog-3", "10.0.0.2")
        with pytest.raises(PullFailed):
            transfer.send_to(one, cast(Shell, None), Step(()), ("a:1",))
        for target in (two, one, other, two):
            transfer.send_to(target, cast(Shell, None), Step(()), ("a:1",))
        transfer.send_to(one, cast(Shell, None), Step(()), ("b:2",))
    assert sent == ["blog-1 a:1", "blog-2 a:1", "blog-3 a:1", "blog-2 a:1", "blog-1 b:2"]

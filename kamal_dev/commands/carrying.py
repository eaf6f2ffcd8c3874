"""Steps that move a stack from one host to another. Builds steps; runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kamal_dev.commands import payload
from kamal_dev.commands.payload import Scripts, performed, watcher
from kamal_dev.commands.words import checked, stack_word
from kamal_dev.model import Step


def inventory(scripts: Scripts, stack: str) -> Step:
    """Ask what a stack has, and how large it is. Parsed by `answers.inventory`."""
    return payload.step(scripts, "inventory.sh", stack_word(stack), label=f"inventory {stack}")


def carry(scripts: Scripts, stack: str) -> Step:
    """Print the records of a stack as a compressed tar, for `workspace.arrive`."""
    return payload.step(scripts, "carry.sh", stack_word(stack), label=f"carry {stack}")


def save_images(scripts: Scripts, images: Iterable[str]) -> Step:
    """Print images as the engine saves them, compressed, for `host.load`."""
    text = "".join(scripts[name] for name in ("lib.sh", "engine.sh", "engine_images.sh", "save.sh"))
    words = checked("image", images)
    return Step(("sh", "-c", text, "kamal-dev", *words), label=" ".join(("save", *words)))


def create(
    scripts: Scripts,
    token: str,
    stack: str,
    timeout: float,
    addresses: tuple[str, str],
    ports: Mapping[str, tuple[str, str]],
    *,
    performer: str = "",
) -> Step:
    """Create the containers of a stack that has arrived, without starting them.

    `addresses` are those of the old host and of this one, `ports` the old and the new port of the host by its name,
    `service:published:target/protocol`.
    """
    changed = {f"{old}:{new}:{name.split(':')[-1]}" for name, (old, new) in ports.items() if old != new}
    words = (stack_word(stack), str(round(timeout * 1000)), *checked("address", (*addresses, *sorted(changed))))
    files = (*performed(performer), *watcher(scripts))
    return payload.step(scripts, "create.sh", *words, token=token, files=files, label=f"create {stack}")


def step(scripts: Scripts, stack: str, name: str, token: str, destination: str = "", *, performer: str = "") -> Step:
    """Take the step `name` of the move `token`: `begin`, `seal` or `back` on the old host, `keep` on the new one.

    A copy has the steps `expect`, with the stack that is copied as `destination`, and `keep`.
    """
    words = (stack_word(stack), name, *checked("host", (token, *((destination,) if destination else ()))))
    return payload.step(scripts, "move.sh", *words, files=performed(performer), label=" ".join(("move", *words)))

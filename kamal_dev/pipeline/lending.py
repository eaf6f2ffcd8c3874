"""Lend hosts the registry of this machine: one tunnel per host, for as long as the run lasts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from kamal_dev.commands import events
from kamal_dev.errors import HostError, RegistryUnknown
from kamal_dev.model import Host
from kamal_dev.pipeline.images import planned
from kamal_dev.pipeline.registry import stored
from kamal_dev.pipeline.run import Run
from kamal_dev.shell.fanout import Background
from kamal_dev.shell.tunnel import tunnel


class Lending:
    """Open the way from a host to `localhost:PORT` here, once; does nothing where the registry is another."""

    def __init__(self, run: Run, *, is_wanted: bool) -> None:
        self._run = run
        self._is_wanted = is_wanted and run.project.config.registry.is_local and not run.is_paper
        self._is_needed = Background(lambda: self._is_wanted and not _are_pushed(run))
        self._begun: dict[str, Background[bool]] = {}
        self._open: set[str] = set()

    def begin(self, target: Host) -> None:
        """Open it beside the caller where every host will need it: no image of this version was pushed yet."""
        if self._is_wanted:
            self._begun[target.name] = Background(lambda: self._is_needed.result() and self._enter(target))

    def open(self, target: Host) -> None:
        """Return once it is open. Raises HostError where the host's port is taken or ssh fails."""
        if not self._is_wanted or target.name in self._open:
            return
        # What was begun early may have failed because nobody had met the host yet; by now it is known.
        begun = self._begun.pop(target.name, None)
        with suppress(HostError):
            if begun and begun.result():
                return
        self._enter(target)

    def lent(self, target: Host, change: Callable[[], events.Outcome]) -> events.Outcome:
        """Make a change with the registry lent to the host; another run of `dev` may be lending it already.

        Its tunnel ends with that run, so what could not be pulled through it is pulled once more through ours.
        """
        try:
            self.open(target)
        except HostError as error:
            self._run.output.note(f"{error.message}; another `dev` may be lending it", target.name)
            told = change()
            if told.phase != "pull":
                return told
            self.open(target)
        return change()

    def _enter(self, target: Host) -> bool:
        run = self._run
        run.resources.enter_context(tunnel(target, run.trust, run.project.config.registry.port, run.output.step))
        self._open.add(target.name)
        return True


def _are_pushed(run: Run) -> bool:
    """Whether the registry has all images of this version; where it does not say so, whoever pushes asks again."""
    try:
        return all(build.image and stored(run, build.image, "") for build in planned(run))
    except RegistryUnknown:
        return False

"""The registry of this machine, lent to hosts: every way a tunnel can begin, be missing and end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import cast

import pytest

from kamal_dev.commands.events import ScriptResult
from kamal_dev.commands.facts import Facts, HeldImage
from kamal_dev.errors import HostError
from kamal_dev.model import Host, Image, ImageConfig, Release
from kamal_dev.output import Event, Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.images import tunnel
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.plan.observation import Observation
from kamal_dev.project import Project
from kamal_dev.shell.recorder import Recorder
from kamal_dev.shell.way import Way

TARGET = Host("blog-1", "10.0.0.1")
WELL, NOT_PULLED = ScriptResult(ok=True), ScriptResult(phase="pull", reason="connection refused")


class Tunnels:
    """Open tunnels once `is_let_through`, unless `refusals` says otherwise for the next ones."""

    def __init__(self) -> None:
        self.is_let_through = threading.Event()
        self.is_let_through.set()
        self.refusals: list[HostError] = []
        self.opened: list[SimpleNamespace] = []

    def __call__(self, way: object, port: int, log: object) -> SimpleNamespace:
        self.is_let_through.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        tunnel = SimpleNamespace(is_open=True, port=port, closed=False)
        tunnel.close = lambda: setattr(tunnel, "closed", True)
        self.opened.append(tunnel)
        return tunnel


@pytest.fixture
def tunnels(monkeypatch: pytest.MonkeyPatch) -> Tunnels:
    found = Tunnels()
    monkeypatch.setattr(tunnel, "Tunnel", found)
    return found


class Lab:
    """A run with a registry, and what it said."""

    def __init__(self, *, is_local: bool = True) -> None:
        self.events: list[Event] = []
        self.resources = ExitStack()
        registry = SimpleNamespace(is_local=is_local, port=5999)
        self.project = cast(Project, SimpleNamespace(config=SimpleNamespace(registry=registry)))
        self.tools = LocalTools(Recorder(), Output(self.events.append), self.resources)

    def lending(self, *, is_wanted: bool = True) -> RegistryTunnel:
        return RegistryTunnel(self.project, self.tools, lambda host: cast(Way, host), is_wanted=is_wanted)

    def said(self) -> str:
        return "\n".join(sentence(event) for event in self.events)


def taken() -> HostError:
    return HostError("blog-1", "port 5999 of the host could not be forwarded", hint="choose another one")


def changes(*outcomes: ScriptResult) -> tuple[Callable[[], ScriptResult], list[int]]:
    """Return a change that ends so, one after the other, and how often it was made."""
    left, made = list(outcomes), []

    def change() -> ScriptResult:
        made.append(1)
        return left.pop(0)

    return change, made


@pytest.mark.parametrize(("is_local", "is_wanted"), [(False, True), (True, False)])
def test_a_registry_elsewhere_or_that_nobody_needs_is_lent_to_nobody(
    tunnels: Tunnels, is_local: bool, is_wanted: bool
) -> None:
    lent = Lab(is_local=is_local).lending(is_wanted=is_wanted)
    lent.begin(TARGET)
    lent.open(TARGET)
    change, made = changes(NOT_PULLED)
    assert lent.lent(TARGET, change) is NOT_PULLED
    assert (len(made), tunnels.opened) == (1, [])


def test_a_tunnel_that_was_opened_early_is_the_one_that_is_used(tunnels: Tunnels) -> None:
    lab = Lab()
    lent = lab.lending()
    lent.begin(TARGET)
    lent._begun[TARGET.name].result()
    assert len(tunnels.opened) == 1
    lent.open(TARGET)
    lent.open(TARGET)
    assert [tunnel.port for tunnel in tunnels.opened] == [5999]
    lab.resources.close()
    assert tunnels.opened[0].closed


def test_a_tunnel_that_is_still_being_opened_is_waited_for(tunnels: Tunnels) -> None:
    tunnels.is_let_through.clear()
    lent = Lab().lending()
    lent.begin(TARGET)
    threading.Timer(0.2, tunnels.is_let_through.set).start()
    lent.open(TARGET)
    assert len(tunnels.opened) == 1


@pytest.mark.parametrize(("names", "has_it"), [(("localhost:5999/blog-dev:v1",), True), (("postgres:15",), False)])
def test_a_host_that_has_the_images_of_this_version_needs_no_tunnel_early(names: tuple[str, ...], has_it: bool) -> None:
    release = cast(Release, SimpleNamespace(images=(("app", Image("localhost:5999", "blog-dev", "v1")),)))
    assert (
        Observation("blog-1", TARGET, Facts(images=(HeldImage(names, ImageConfig()),))).has_images_of(release) is has_it
    )
    assert not Observation("blog-1", TARGET).has_images_of(release)


def test_what_could_not_be_opened_early_is_opened_when_it_is_needed(tunnels: Tunnels) -> None:
    lab = Lab()
    tunnels.refusals = [taken()]
    lent = lab.lending()
    lent.begin(TARGET)
    lent.open(TARGET)
    assert len(tunnels.opened) == 1


def test_a_host_whose_port_is_taken_is_an_error(tunnels: Tunnels) -> None:
    lab = Lab()
    tunnels.refusals = [taken()]
    with pytest.raises(HostError, match="could not be forwarded"):
        lab.lending().open(TARGET)


def test_where_another_run_lends_it_already_the_change_is_made_all_the_same(tunnels: Tunnels) -> None:
    lab = Lab()
    tunnels.refusals = [taken()]
    change, made = changes(WELL)
    assert lab.lending().lent(TARGET, change) is WELL
    assert (len(made), len(tunnels.opened)) == (1, 0)
    assert "another `dev` may be forwarding it" in lab.said()


def test_what_a_tunnel_that_ended_did_not_bring_is_pulled_once_more(tunnels: Tunnels) -> None:
    lab = Lab()
    lent = lab.lending()
    change, made = changes(NOT_PULLED, WELL)

    def break_off() -> ScriptResult:
        tunnels.opened[0].is_open = bool(made)
        return change()

    assert lent.lent(TARGET, break_off) is WELL
    assert (len(made), len(tunnels.opened)) == (2, 2)


def test_a_pull_that_fails_through_an_open_tunnel_is_not_repeated(tunnels: Tunnels) -> None:
    lab = Lab()
    change, made = changes(NOT_PULLED)
    assert lab.lending().lent(TARGET, change) is NOT_PULLED
    assert len(made) == 1


def test_where_no_tunnel_can_be_opened_at_all_that_is_the_failure(tunnels: Tunnels) -> None:
    lab = Lab()
    tunnels.refusals = [taken(), taken()]
    change, made = changes(NOT_PULLED)
    with pytest.raises(HostError, match="could not be forwarded") as caught:
        lab.lending().lent(TARGET, change)
    assert len(made) == 1
    assert caught.value.hint == "choose another one"


def test_where_a_tunnel_that_ended_cannot_be_opened_again_the_failure_of_the_pull_counts(tunnels: Tunnels) -> None:
    lab = Lab()

    def break_off() -> ScriptResult:
        tunnels.opened[0].is_open = False
        tunnels.refusals = [taken()]
        return NOT_PULLED

    assert lab.lending().lent(TARGET, break_off) is NOT_PULLED
    assert "choose another one" in lab.said()

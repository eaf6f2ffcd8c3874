from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from kamal_dev import config, providers
from kamal_dev.config.provider import PROVIDERS
from kamal_dev.errors import ConfigError, ProviderError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.output.sentences import sentence
from kamal_dev.shell.recorder import Recorder
from tests.providers.engine import ensured, listed

TWO = """\
service: guestbook
provider:
  type: static
  hosts:
    - deploy@10.0.0.1:2222
    - address: box.example.com
      user: root
      keys: keys/box
      proxy_jump: jump@bastion
ssh:
  user: nobody
  port: 2200
  keys: ~/.ssh/dev
"""


def provider(text: str = TWO, said: list[str] | None = None) -> providers.Provider:
    read = config.load(text, "config/dev.yml", environment={})
    talk = [] if said is None else said
    output = Output(lambda event: talk.append(sentence(event)))
    return providers.make(
        read,
        shell=Recorder(),
        directory=Path("/src/app/.kamal/local"),
        output=output,
    )


def test_a_stack_gets_the_host_at_its_place_in_the_list() -> None:
    first, second = provider().ensure(("guestbook-1", "guestbook-2")).values()
    home = Path("~/.ssh/dev").expanduser()
    assert first == Host("guestbook-1", "10.0.0.1", user="deploy", port=2222, keys=(home,))
    assert second == Host(
        "guestbook-2",
        "box.example.com",
        user="root",
        port=2200,
        keys=(Path("/src/app/keys/box"),),
        proxy_jump="jump@bastion",
    )


def test_one_stack_asked_for_alone_keeps_its_place() -> None:
    (host,) = ensured(provider(), "guestbook-2")
    assert host.address == "box.example.com"


def test_what_neither_entry_nor_ssh_section_says_is_left_open() -> None:
    (host,) = listed(provider("service: a\nprovider: {type: static, hosts: [10.0.0.9]}\n"))
    assert host == Host("a-1", "10.0.0.9")


def test_an_ipv6_address_loses_its_brackets() -> None:
    (host,) = listed(provider("service: a\nprovider: {type: static, hosts: ['root@[fd00::7]:22']}\n"))
    assert (host.address, host.port) == ("fd00::7", 22)


def test_naming_pattern_names_the_hosts_too() -> None:
    text = "service: a\nprovider: {type: static, hosts: [h1, h2]}\nnaming: {pattern: 'dev{index:03}-{service}'}\n"
    assert [name for name, _ in provider(text).stacks()] == ["dev001-a", "dev002-a"]


@pytest.mark.parametrize("ask", ["check", "ensure"])
def test_more_stacks_than_hosts_are_refused_by_name(ask: str) -> None:
    with pytest.raises(ProviderError) as caught:
        getattr(provider(), ask)(("guestbook-1", "guestbook-2", "guestbook-3", "guestbook-4"))
    message = "config/dev.yml: provider.hosts lists 2 hosts: there is none for guestbook-3, guestbook-4"
    assert caught.value.message == message
    assert "--count" in caught.value.hint


def test_destroying_destroys_nothing_and_says_so() -> None:
    said: list[str] = []
    made = provider(said=said)
    made.destroy(("guestbook-2", "elsewhere-1"))
    assert said == ["Kept guestbook-2: the static provider destroys no hosts"]
    assert len(listed(made)) == 2


def test_destroying_no_host_of_ours_says_nothing() -> None:
    said: list[str] = []
    provider(said=said).destroy(("elsewhere-1",))
    assert said == []


def test_an_unknown_type_names_the_known_ones() -> None:
    from dataclasses import replace

    read = config.load(TWO, "config/dev.yml", environment={})
    read = replace(read, provider=replace(read.provider, type="cloud"))
    known = ", ".join(f"`{name}`" for name in PROVIDERS)
    with pytest.raises(ConfigError, match=rf"provider\.type: `cloud` is not one of {known}"):
        providers.make(read, shell=Recorder(), directory=Path("/src/.kamal/local"), output=Output(lambda event: None))


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_type_that_config_knows_has_a_provider(name: str) -> None:
    provider = getattr(import_module(f"kamal_dev.providers.{name}"), PROVIDERS[name].implementation)
    promised = {word for word in vars(providers.Provider) if not word.startswith("_")}
    assert promised <= set(dir(provider))

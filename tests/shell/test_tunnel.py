from __future__ import annotations

import shlex
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell.frame import Frame
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.tunnel import argv

TRUST = Trust(Path("/project/known_hosts"))


def options(words: tuple[str, ...]) -> dict[str, str]:
    pairs = (words[index + 1] for index, word in enumerate(words) if word == "-o")
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_host_lends_its_own_loopback_only_and_must_prove_who_it_is() -> None:
    words = argv(Host("blog-1", "10.0.0.1", "deploy", 2222, (Path("/keys/id"),)), TRUST, 5555, Frame.new())
    assert words[words.index("-R") + 1] == "127.0.0.1:5555:127.0.0.1:5555"
    assert words[-3:-1] == ("--", "10.0.0.1")
    assert words[words.index("-p") : words.index("-p") + 2] == ("-p", "2222")
    assert words[words.index("-l") : words.index("-l") + 2] == ("-l", "deploy")
    found = options(words)
    assert found["StrictHostKeyChecking"] == "yes"
    assert found["UserKnownHostsFile"] == "/project/known_hosts ~/.ssh/known_hosts"
    assert found["ExitOnForwardFailure"] == "yes"
    assert found["IdentitiesOnly"] == "yes"


def test_a_key_that_the_provider_vouches_for_is_the_only_one() -> None:
    words = argv(Host("blog-1", "127.0.0.1", host_key="ssh-ed25519 AAAA"), TRUST, 5555, Frame.new())
    assert options(words)["UserKnownHostsFile"] == "/project/known_hosts"


def test_a_hop_is_reached_with_the_same_keys_and_the_same_care() -> None:
    host = Host("blog-1", "10.0.0.1", "deploy", 2222, (Path("/my keys/id"),), "jump@bastion:2200")
    hop = shlex.split(options(argv(host, TRUST, 5555, Frame.new()))["ProxyCommand"])
    assert hop[-3:] == ["-W", "[%h]:%p", "ssh://jump@bastion:2200"]
    assert hop[hop.index("-i") + 1] == "/my keys/id"
    assert "StrictHostKeyChecking=yes" in hop
    assert "-l" not in hop
    assert "-p" not in hop


def test_several_hops_are_left_to_ssh() -> None:
    words = argv(Host("blog-1", "10.0.0.1", proxy_jump="a,b"), TRUST, 5555, Frame.new())
    assert words[words.index("-J") + 1] == "a,b"


def test_the_users_ssh_configuration_can_be_left_out() -> None:
    words = argv(Host("blog-1", "10.0.0.1"), Trust(Path("/k"), "off", read_ssh_config=False), 5555, Frame.new())
    assert words[words.index("-F") + 1] == "none"
    assert options(words)["StrictHostKeyChecking"] == "no"

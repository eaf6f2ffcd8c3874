from __future__ import annotations

import shlex
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell.frame import Frame
from kamal_dev.shell.remote_forward import argv
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way

TRUST = Trust(Path('/100% "mine"/known_hosts'), read_ssh_config=False)


def options(words: tuple[str, ...] | list[str]) -> dict[str, str]:
    pairs = (words[index + 1] for index, word in enumerate(words) if word == "-o")
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_host_lends_its_own_loopback_only_and_must_prove_who_it_is(tmp_path: Path) -> None:
    key = tmp_path / "my key"
    key.touch()
    words = argv(way(Host("blog-1", "10.0.0.1", "deploy", 2222, (key,)), TRUST), 5555, Frame.new())
    assert words[words.index("-R") + 1] == "127.0.0.1:5555:127.0.0.1:5555"
    assert words[-3:-1] == ("--", "10.0.0.1")
    found = options(words)
    assert (found["Port"], found["User"]) == ("2222", '"deploy"')
    assert found["StrictHostKeyChecking"] == "yes"
    assert shlex.split(found["UserKnownHostsFile"])[0] == '/100%% "mine"/known_hosts'
    assert shlex.split(found["IdentityFile"]) == [str(key)]
    assert found["ExitOnForwardFailure"] == "yes"
    assert found["IdentitiesOnly"] == "yes"
    assert found["IdentityAgent"] == '"SSH_AUTH_SOCK"'


def test_a_key_that_the_provider_vouches_for_is_the_only_one() -> None:
    found = options(argv(way(Host("blog-1", "127.0.0.1", host_key="ssh-ed25519 AAAA"), TRUST), 5555, Frame.new()))
    assert shlex.split(found["UserKnownHostsFile"]) == ['/100%% "mine"/known_hosts']
    assert found["GlobalKnownHostsFile"] == "/dev/null"


def test_hops_are_reached_in_their_order_with_the_same_keys_and_the_same_care(tmp_path: Path) -> None:
    key = tmp_path / "my key"
    key.touch()
    host = Host("blog-1", "10.0.0.1", "deploy", 2222, (key,), "jump@bastion:2200,10.0.0.9")
    inner = options(argv(way(host, TRUST), 5555, Frame.new()))["ProxyCommand"].replace("%%", "%")
    assert shlex.split(inner)[-4:] == ["-W", "[10.0.0.1]:2222", "--", "10.0.0.9"]
    outer = options(shlex.split(inner))["ProxyCommand"].replace("%%", "%")
    assert shlex.split(outer)[-4:] == ["-W", "[10.0.0.9]:22", "--", "bastion"]
    found = options(shlex.split(outer))
    assert (found["User"], found["Port"], found["ProxyCommand"]) == ('"jump"', "2200", "none")
    assert shlex.split(found["IdentityFile"]) == [str(key)]
    assert found["StrictHostKeyChecking"] == "yes"


def test_where_any_key_will_do_no_file_is_read() -> None:
    trust = Trust(Path("/k"), "off", read_ssh_config=False)
    words = argv(way(Host("blog-1", "10.0.0.1"), trust), 5555, Frame.new())
    found = options(words)
    assert found["StrictHostKeyChecking"] == "no"
    assert (found["UserKnownHostsFile"], found["GlobalKnownHostsFile"]) == ("/dev/null", "/dev/null")

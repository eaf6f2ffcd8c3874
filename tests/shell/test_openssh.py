from __future__ import annotations

import shlex
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell import openssh
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way

TRUST = Trust(Path('/100% "mine"/known_hosts'), read_ssh_config=False)


def options(words: tuple[str, ...] | list[str]) -> dict[str, str]:
    pairs = (words[index + 1] for index, word in enumerate(words) if word == "-o")
    return dict(pair.split("=", 1) for pair in pairs)


def test_a_host_must_prove_who_it_is_and_only_the_keys_of_the_configuration_are_shown(tmp_path: Path) -> None:
    key = tmp_path / "my key"
    key.touch()
    words = openssh.master(
        way(Host("blog-1", "10.0.0.1", "deploy", 2222, (key,)), TRUST), tmp_path / "s", tmp_path / "log"
    )
    assert words[-2:] == ("--", "10.0.0.1")
    found = options(words)
    assert (found["Port"], found["User"]) == ("2222", '"deploy"')
    assert found["StrictHostKeyChecking"] == "accept-new"
    assert shlex.split(found["UserKnownHostsFile"])[0] == '/100%% "mine"/known_hosts'
    assert shlex.split(found["IdentityFile"]) == [str(key)]
    assert found["ExitOnForwardFailure"] == "yes"
    assert found["IdentitiesOnly"] == "yes"
    assert found["IdentityAgent"] == '"SSH_AUTH_SOCK"'


def test_a_key_that_the_provider_vouches_for_is_the_only_one() -> None:
    found = options(openssh.options(way(Host("blog-1", "127.0.0.1", host_key="ssh-ed25519 AAAA"), TRUST)))
    assert shlex.split(found["UserKnownHostsFile"]) == ['/100%% "mine"/known_hosts']
    assert found["GlobalKnownHostsFile"] == "/dev/null"


def test_hops_are_reached_in_their_order_with_the_same_keys_and_the_same_care(tmp_path: Path) -> None:
    key = tmp_path / "my key"
    key.touch()
    host = Host("blog-1", "10.0.0.1", "deploy", 2222, (key,), "jump@bastion:2200,10.0.0.9")
    inner = options(openssh.options(way(host, TRUST)))["ProxyCommand"].replace("%%", "%")
    assert shlex.split(inner)[-4:] == ["-W", "[10.0.0.1]:2222", "--", "10.0.0.9"]
    outer = options(shlex.split(inner))["ProxyCommand"].replace("%%", "%")
    assert shlex.split(outer)[-4:] == ["-W", "[10.0.0.9]:22", "--", "bastion"]
    found = options(shlex.split(outer))
    assert (found["User"], found["Port"], found["ProxyCommand"]) == ('"jump"', "2200", "none")
    assert shlex.split(found["IdentityFile"]) == [str(key)]
    assert found["StrictHostKeyChecking"] == "yes"


def test_where_any_key_will_do_no_file_is_read() -> None:
    trust = Trust(Path("/k"), "off", read_ssh_config=False)
    words = openssh.options(way(Host("blog-1", "10.0.0.1"), trust))
    found = options(words)
    assert found["StrictHostKeyChecking"] == "no"
    assert (found["UserKnownHostsFile"], found["GlobalKnownHostsFile"]) == ("/dev/null", "/dev/null")

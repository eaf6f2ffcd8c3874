from __future__ import annotations

from pathlib import Path

import pytest

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.shell.connection import connect
from kamal_dev.shell.known_hosts import pin
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way


def test_a_pinned_key_replaces_that_of_the_same_address_only(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    pin(path, "[127.0.0.1]:2201", "ssh-ed25519 OLD")
    pin(path, "[127.0.0.1]:2202", "ssh-ed25519 OTHER")
    pin(path, "[127.0.0.1]:2201", "ssh-ed25519 NEW")
    assert path.read_text().splitlines() == ["[127.0.0.1]:2202 ssh-ed25519 OTHER", "[127.0.0.1]:2201 ssh-ed25519 NEW"]
    pin(path, "[127.0.0.1]:2201", "ssh-ed25519 NEW")
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_lines_that_are_no_text_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"caf\xe9 ssh-ed25519 AAAA\nhost ssh-ed25519 OLD\n")
    pin(path, "host", "ssh-ed25519 NEW")
    assert path.read_bytes() == b"caf\xe9 ssh-ed25519 AAAA\nhost ssh-ed25519 NEW\n"


def test_the_key_that_a_provider_vouches_for_is_pinned_before_anything_is_sent(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "known_hosts", read_ssh_config=False)
    made = Host("blog-1", "127.0.0.1", port=1, host_key="ssh-ed25519 AAAA")
    with pytest.raises(HostUnreachable):
        connect(way(made, trust), lambda: True, lambda line: None)
    assert trust.known_hosts.read_text() == "[127.0.0.1]:1 ssh-ed25519 AAAA\n"

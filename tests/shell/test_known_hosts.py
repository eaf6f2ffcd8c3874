from __future__ import annotations

import threading
from pathlib import Path

import paramiko

from kamal_dev.shell.known_hosts import AcceptNew, append, pin


def test_a_pinned_key_replaces_that_of_the_same_address_only(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    append(path, "[127.0.0.1]:2201", "ssh-ed25519 OLD")
    append(path, "[127.0.0.1]:2202", "ssh-ed25519 OTHER")
    pin(path, "127.0.0.1", 2201, "ssh-ed25519 NEW comment")
    assert path.read_text().splitlines() == ["[127.0.0.1]:2202 ssh-ed25519 OTHER", "[127.0.0.1]:2201 ssh-ed25519 NEW"]
    pin(path, "127.0.0.1", 2201, "ssh-ed25519 NEW comment")
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_many_hosts_met_at_once_are_all_remembered(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    key = paramiko.ECDSAKey.generate()
    policy = AcceptNew(path)
    threads = [
        threading.Thread(target=policy.missing_host_key, args=(None, f"host{number}", key)) for number in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = paramiko.HostKeys(str(path))
    assert all(keys.check(f"host{number}", key) for number in range(30))

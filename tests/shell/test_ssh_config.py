from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell import ssh_config
from kamal_dev.shell.trust import Trust


def test_ssh_itself_reads_the_file_as_it_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / '100% of "my" files'
    folder.mkdir()
    key = folder / "my key"
    key.touch()
    trust = Trust(folder / "known hosts", read_ssh_config=False)
    host = Host("blog-1", "10.0.0.1", "deploy", 2222, (key,), "jump@bastion:2200")
    vouched = Host("blog-2", "10.0.0.2", host_key="ssh-ed25519 AAAA")
    off = Host("blog-3", "")
    path = folder / "ssh_config"
    stacks = [("blog-1", host), ("blog-2", vouched), ("blog-3", off)]
    ssh_config.write(path, ssh_config.text(stacks, trust, path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert "blog-3" not in path.read_text()
    (tmp_path / "config").write_text(ssh_config.include(path))

    def found(name: str) -> dict[str, str]:
        argv = ("ssh", "-T", "-F", str(tmp_path / "config"), "-G", name)
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())

    first = found("blog-1")
    assert (first["hostname"], first["user"], first["port"]) == ("10.0.0.1", "deploy", "2222")
    assert "-W '[10.0.0.1]:2222' -- bastion" in first["proxycommand"]
    assert first["identityfile"].replace("%%", "%") == str(key)
    assert first["stricthostkeychecking"] == "true"
    assert first["userknownhostsfile"].startswith(f"{trust.known_hosts} ")
    assert first["userknownhostsfile"].endswith("/.ssh/known_hosts2")
    assert found("blog-2")["userknownhostsfile"] == str(trust.known_hosts)


def test_a_file_that_is_there_follows_hosts_and_keeps_those_of_other_stacks(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "known_hosts")
    first, second = Host("blog-1", "10.0.0.1"), Host("blog-2", "127.0.0.1", port=32768, host_key="ssh-ed25519 AAAA")
    path = tmp_path / "ssh_config"
    ssh_config.write(path, ssh_config.text([("blog-1", first), ("blog-2", second)], trust, path))
    moved, new = replace(second, port=32769), Host("blog-3", "10.0.0.3", keys=(tmp_path / "key",))
    gone, off = Host("blog-1@10.9.9.9", "10.9.9.9"), Host("blog-1", "")
    ssh_config.renew(path, (moved, new, gone, off), trust)
    stacks = [("blog-1", first), ("blog-2", moved), ("blog-3", new)]
    assert path.read_text() == ssh_config.text(stacks, trust, path)
    before = path.stat().st_ino
    ssh_config.renew(path, (moved, new), trust)
    assert path.stat().st_ino == before


def test_a_host_that_ssh_knows_nothing_of_is_not_included(tmp_path: Path) -> None:
    assert not ssh_config.is_included("kd-nowhere-1", Host("kd-nowhere-1", "10.0.0.1"), Trust(tmp_path / "k"))

"""How the host counts the time of a stack (`host/lifetime.sh`), and who is connected to it (`host/idle.sh`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.hosts import FOLDER
from tests.kinds.test_standing import SHELLS

every_shell = pytest.mark.parametrize("shell", SHELLS)


def told(tmp_path: Path, script: str, shell: str = "sh") -> list[str]:
    """Return what a script prints that has the functions of a stack."""
    (tmp_path / ".kamal-dev/blog-1/releases").mkdir(parents=True, exist_ok=True)
    sourced = "lib stack audit lifetime idle vacancy"
    begin = f'here=$0; for each in {sourced}; do . "$here/$each.sh"; done; here=$1; use_stack blog-1\n'
    argv = (*shell.split(), "-u", "-c", begin + script, str(FOLDER), str(tmp_path))
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///none"}
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


SET = (
    "life_ttl=3600 life_idle=600 life_ttl_left=3600 life_idle_left=600 "
    "life_wall=1000000 life_uptime=500 life_boot=one\n"
)


@every_shell
@pytest.mark.parametrize(
    ("moment", "remaining"),
    [
        ("1000060 560 one", "3540 540"),
        ("5000 560 one", "3540 540"),  # the clock was set back
        ("9000000 560 one", "3540 540"),  # and forward
        ("1001000 30 two", "2600 -400"),  # a reboot: the time without power counts
        ("5000 30 two", "3570 570"),  # a reboot with a wrong clock: what has passed for certain
        ("1000060 40 one", "3540 540"),  # an uptime that went back without a new boot
    ],
)
def test_time_passes_on_a_clock_that_nobody_sets(tmp_path: Path, shell: str, moment: str, remaining: str) -> None:
    script = f'read_lifetime || :\n{SET}pass_time {moment}; echo "$life_ttl_left $life_idle_left"'
    assert told(tmp_path, script, shell) == [remaining]


@every_shell
def test_a_lifetime_is_read_as_it_was_written(tmp_path: Path, shell: str) -> None:
    written = told(
        tmp_path,
        f"""read_lifetime || echo none
        {SET}life_then=remove life_kept='uncommitted changes in `web`' life_idle_left=-5
        write_lifetime; read_lifetime && echo "$life_ttl $life_idle_left $life_then $life_kept $life_told." """,
        shell,
    )
    assert written == ["none", "3600 -5 remove uncommitted changes in `web` ."]
    (tmp_path / ".kamal-dev/blog-1/lifetime").write_text("ttl $(reboot)\nidle_left --\nunknown 3\nidle 7\n")
    assert told(tmp_path, 'read_lifetime; echo "$life_ttl $life_idle_left $life_idle"', shell) == ["0 0 7"]


@every_shell
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("life_ttl=3600 life_ttl_left=3600", " ttl 240"),
        ("life_ttl=3600 life_ttl_left=1000", " ttl 100"),  # the next moment is the notice, 15 minutes before
        ("life_ttl=3600 life_ttl_left=900", " ttl 1"),
        ("life_ttl=20 life_ttl_left=5 life_told=soon", " ttl 5"),
        ("life_ttl=20 life_ttl_left=0", "ttl ttl 1"),
        ("life_idle=7200 life_idle_left=7200", " idle 50"),
        ("life_idle=20 life_idle_left=20", " idle 5"),
        ("life_idle=7200 life_idle_left=7200 life_ttl=60 life_ttl_left=55", " ttl 40"),
        ("life_ttl=60 life_ttl_left=-3 life_ended=ttl", "ttl ttl 0"),
        ("life_ttl=0", "  0"),
    ],
)
def test_the_limit_that_ends_first_is_looked_at_in_time(tmp_path: Path, shell: str, values: str, expected: str) -> None:
    script = f'read_lifetime || :\n{values}\nfind_over; find_first; find_pause; echo "$over $first $pause"'
    assert told(tmp_path, script, shell) == [expected]


@every_shell
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("apply true", "60 30 "),  # a deploy begins it again
        ("apply false", "60 30 "),  # it was rolled back, and runs
        ("start true", "60 30 "),
        ("backup true", "-5 10 ttl"),
        ("stop true", "-5 10 ttl"),
    ],
)
def test_what_starts_a_stack_that_has_ended_begins_its_lifetime_again(
    tmp_path: Path, shell: str, change: str, expected: str
) -> None:
    values = "life_ttl=60 life_idle=30 life_ttl_left=-5 life_idle_left=10 life_ended=ttl life_uptime=99999999999"
    script = f"""read_lifetime || :
    {values}; read -r life_boot </proc/sys/kernel/random/boot_id
    read -r life_uptime _ </proc/uptime; life_uptime=${{life_uptime%.*}}
    write_lifetime; tend_lifetime {change}; read_lifetime; echo "$life_ttl_left $life_idle_left $life_ended" """
    ttl, idle, *ended = told(tmp_path, script, shell)[0].split(" ")
    wanted_ttl, wanted_idle, *wanted = expected.split(" ")
    assert int(wanted_ttl) - 3 <= int(ttl) <= int(wanted_ttl)
    assert int(wanted_idle) - 3 <= int(idle) <= int(wanted_idle)
    assert ended == wanted


@every_shell
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("20", "20 s"),
        ("75", "1 min 15 s"),
        ("900", "15 min"),
        ("7200", "2 h"),
        ("5400", "1 h 30 min"),
        ("180000", "2 d 2 h"),
    ],
)
def test_durations_are_told_in_two_units(tmp_path: Path, shell: str, seconds: str, expected: str) -> None:
    assert told(tmp_path, f"spell {seconds}", shell) == [expected]


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@every_shell
@pytest.mark.parametrize(
    ("address", "is_outside"),
    [
        ("010012AC", True),  # 172.18.0.1, the gateway: docker-proxy, or this host
        ("030012AC", False),  # 172.18.0.3, another container of the network
        ("0500000A", True),  # 10.0.0.5
        ("0100007F", False),  # a health check
        ("0000000000000000FFFF0000030012AC", False),
        ("0000000000000000FFFF00000500000A", True),
        ("00000000000000000000000001000000", False),
        ("B80D01200000000000000000AB000000", True),  # 2001:db8::ab
        ("000080FE00000000000000000A000000", False),
        ("000000FD00000000000000000A000000", False),
    ],
)
def test_only_connections_from_outside_of_the_networks_of_a_container_count(
    tmp_path: Path, shell: str, address: str, is_outside: bool
) -> None:
    (tmp_path / "route").write_text(ROUTES)
    script = f'find_networks "$1/route"; if is_outside {address}; then echo yes; else echo no; fi'
    assert told(tmp_path, script, shell) == ["yes" if is_outside else "no"]


OLD = "look_at_process() { stat_started=0; }; find ~/.kamal-dev -exec touch -d '1 hour ago' {} +\n"


@every_shell
@pytest.mark.parametrize(
    ("script", "use"),
    [
        (OLD, ""),
        (OLD + ": >~/.kamal-dev/.engine", "its host was used less than 15 minutes ago"),
        (OLD + "mkdir ~/.kamal-dev/.watcher; : >~/.kamal-dev/.watcher/log; touch -d '1 hour ago' ~/.kamal-dev", ""),
        (OLD + "mkdir -p ~/.kamal-dev/blog-2/releases", "it has blog-2"),
        (OLD + "mkdir -p $home/lock", "it has blog-1"),
        (
            OLD + "look_at_process() { read -r up _ </proc/uptime; stat_started=$((${up%.*} * 100 - 6000)); }",
            "its host was started less than 15 minutes ago",
        ),
        ("look_at_process() { return 1; }", "its host was started less than 15 minutes ago"),
    ],
)
def test_a_host_is_only_destroyed_if_nobody_is_about_to_use_it(
    tmp_path: Path, shell: str, script: str, use: str
) -> None:
    script = f'rm -rf $home; mkdir $home; : >$home/audit.log; {script}\nfind_use; echo "$use"'
    assert told(tmp_path, script, shell) == [use]

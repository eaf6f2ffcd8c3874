"""Faults 1 to 10: the way to the host."""

from __future__ import annotations

from tests.faults.proxy import Proxy
from tests.faults.standing import Standing, repository
from tests.faults.table import Fault, produces
from tests.real.lab import Host


@produces(
    Fault(
        1,
        "The host refuses the connection",
        sees="no SSH at …: Connection refused",
        do="check that the host is up and its address is correct",
    )
)
def test_a_host_that_refuses_must_be_named_and_left_alone(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    standing.proxy.refuse()
    ended = standing.deploy()
    fault.told(ended)
    standing.endures(ended, state="failed", version=before)


@produces(
    Fault(
        2,
        "A firewall drops every packet to the host (SYN blackhole)",
        sees="no SSH at …: no answer within 2 s",
        do="check that the host is up and its address is correct",
    )
)
def test_a_host_that_swallows_every_packet_must_be_given_up_in_time(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.proxy.swallow()
    ended = standing.deploy()
    fault.told(ended)
    assert ended.json["seconds"] < 12, "the configured two seconds, not the minutes of the kernel"
    standing.endures(ended, state="failed", version=before)


@produces(
    Fault(
        3,
        "The host accepts the connection but sends nothing",
        sees="no SSH at …: it accepts connections, but sent no SSH banner within 2 s",
        do="check that the host is up and its address is correct",
    )
)
def test_a_host_without_a_banner_must_be_given_up_in_time(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.proxy.fall_silent()
    ended = standing.deploy()
    fault.told(ended)
    standing.endures(ended, state="failed", version=before)


@produces(
    Fault(
        4,
        "The host refuses the login",
        sees="refused the login of `root` with …",
        do="set `ssh.user` and `ssh.keys` in config/dev.yml, or add the key to the host's authorized_keys",
    )
)
def test_a_refused_login_must_say_who_and_with_which_key(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.host.run("mv ~/.ssh/authorized_keys ~/.ssh/away")
    # The connection of an earlier run would go on.
    standing.proxy.reset()
    ended = standing.deploy()
    standing.host.run("mv ~/.ssh/away ~/.ssh/authorized_keys")
    fault.told(ended)
    assert str(standing.host.key) in ended.text
    standing.endures(ended, state="failed", version=before)


@produces(
    Fault(
        5,
        "The key of the host has changed",
        sees="has a different key than before (now ssh-ed25519 …); nothing was sent to it",
        do="if you replaced it, remove the old key: `ssh-keygen -R …`",
    )
)
def test_a_host_with_another_key_must_get_nothing(standing: Standing, bare: Host, fault: Fault) -> None:
    before = standing.version
    there = bare.run("find /tmp /root")
    standing.proxy.lead_to(bare.port)
    ended = standing.deploy()
    fault.told(ended)
    assert bare.run("find /tmp /root") == there
    standing.endures(ended, state="failed", version=before)


@produces(
    Fault(
        6,
        "The connection freezes during a command and recovers",
        sees="Connection lost; the host continues, reconnecting …Deployed 1 of 1 stacks",
    )
)
def test_a_link_that_freezes_for_a_while_must_be_picked_up_again(standing: Standing, fault: Fault) -> None:
    standing.change()
    running = standing.start()
    running.wait_for("Starting containers")
    standing.proxy.freeze()
    running.wait_for("Connection lost")
    standing.proxy.heal()
    ended = running.end(0)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(
    Fault(
        6,
        "The connection freezes during a command and does not recover",
        sees="could not reconnect, so its state is unknown",
        do="check with `dev status`, then run the command again",
        is_slow=True,
    )
)
def test_a_link_that_freezes_during_a_command_must_end_as_unknown(standing: Standing, fault: Fault) -> None:
    standing.change()
    running = standing.start()
    running.wait_for("Starting containers")
    standing.proxy.freeze()
    ended = running.end(1)
    fault.told(ended)
    standing.endures(ended, state="unknown", version=standing.repository.sha)


@produces(
    Fault(
        7,
        "The connection is reset while the release is uploaded",
        sees="Connection lost; …Deployed 1 of 1 stacks",
    )
)
def test_an_upload_that_is_cut_must_be_sent_again(standing: Standing, fault: Fault) -> None:
    standing.change()
    running = standing.start()
    running.wait_for("Pushed")
    for link in standing.proxy.links:
        link.sent = 0
    standing.proxy.reset_after(9000)
    ended = running.end(0)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(
    Fault(
        7,
        "The connection is reset while images are sent over SSH (`--skip-push`)",
        sees="Connection lost; trying again …Deployed 1 of 1 stacks",
    )
)
def test_images_that_are_cut_off_must_be_sent_again(standing: Standing, fault: Fault) -> None:
    standing.change({".devcontainer/message": "x" * 300_000})
    # More than what comes before the images, and less than those.
    standing.proxy.reset_after(500_000)
    running = standing.start("--skip-push")
    ended = running.end(0)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(
    Fault(
        8,
        "The connection is reset while containers are started",
        sees="Connection lost; the host continues, reconnecting …Deployed 1 of 1 stacks",
        is_slow=True,
    )
)
def test_a_start_that_is_cut_off_must_be_picked_up_again(standing: Standing, fault: Fault) -> None:
    standing.change()
    running = standing.start()
    running.wait_for("Starting containers")
    standing.proxy.reset()
    ended = running.end(0)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(
    Fault(
        9,
        "sshd allows two logins at a time and one session per connection (MaxStartups 2, MaxSessions 1)",
        sees="Deployed 3 of 3 stacks",
        is_slow=True,
    )
)
def test_a_narrow_sshd_must_be_enough_for_several_stacks(standing: Standing, fault: Fault) -> None:
    settings = "/etc/ssh/sshd_config.d/narrow.conf"
    standing.host.run(f"printf 'MaxStartups 2\\nMaxSessions 1\\n' >{settings} && systemctl reload ssh")
    ways = [Proxy(standing.host.port) for _ in range(3)]
    crowd = repository(standing.lab, "crowd", standing.host, standing.registry, *(way.port for way in ways))
    crowd.write({".devcontainer/compose.yaml": "services:\n  app:\n    build: .\n"})
    crowd.commit()
    ended = crowd.deploy("--skip-push")
    crowd.dev("remove", "--yes")
    for way in ways:
        way.close()
    standing.host.run(f"rm {settings} && systemctl reload ssh")
    fault.told(ended)
    standing.endures()


@produces(
    Fault(
        10,
        "The command on the host is killed, and its exit code is unknown",
        sees="the script on the host was killed",
        do="check with `dev status`, then run the command again",
        is_slow=True,
    )
)
def test_a_killed_script_must_end_as_unknown(standing: Standing, fault: Fault) -> None:
    standing.change()
    running = standing.start()
    running.wait_for("Starting containers")
    standing.host.run("pkill -9 -f 'payload/[w]orker.sh|payload/[a]pply.sh'")
    ended = running.end(1)
    fault.told(ended)
    standing.endures(ended, state="unknown", leaves=True)


@produces(
    Fault(
        10,
        "The shell that follows the work on the host is killed, or exits with 255",
        sees="Deployed 1 of 1 stacks",
    )
)
def test_a_killed_follower_must_not_be_taken_for_the_end_of_the_work(standing: Standing, fault: Fault) -> None:
    standing.change()
    running = standing.start()
    running.wait_for("Starting containers")
    standing.host.run("pkill -9 -f '[d]etach.sh'")
    ended = running.end(0)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)

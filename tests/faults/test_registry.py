"""Faults 18 and 19: what hosts pull from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.standing import Standing
from tests.faults.table import Fault, produces
from tests.faults.test_services import other
from tests.real.lab import Host, wait_for

OVER_SSH = "`--skip-push` sends it over SSH"
PULL = f"check that the image exists and that the host reaches its registry; {OVER_SSH}"
DENIED = f"check that the account has access to localhost:…, that its token has not expired, …; {OVER_SSH}"
BUSY = f"localhost:… limits the rate of requests: wait, or log in with an account that has a higher limit; {OVER_SSH}"
BROKEN = f"localhost:… failed: check its status page or log, and try again later; {OVER_SSH}"
TRUST = f"the certificate of … is not trusted: install its CA in `/etc/docker/certs.d/…/ca.crt`, …; {OVER_SSH}"
DROPPED = f"localhost:… closed the connection: check its log and the network, and try again; {OVER_SSH}"
GONE = "could not pull images: localhost:…"


@produces(
    Fault(
        19,
        "The registry requires a login (401)",
        sees=f"{GONE}the test says 401",
        do=DENIED,
        how=401,
        is_slow=True,
    ),
    Fault(19, "The registry forbids the pull (403)", sees=f"{GONE}the test says 403", do=DENIED, how=403, is_slow=True),
    Fault(19, "The registry no longer has the image (404)", sees=f"{GONE}not found", do=PULL, how=404, is_slow=True),
    Fault(
        19,
        "The registry limits the rate of requests (429)",
        sees=f"{GONE}the test says 429",
        do=BUSY,
        how=429,
        is_slow=True,
    ),
    Fault(
        19,
        "The registry fails (500)",
        sees=f"{GONE}received unexpected HTTP status: 500",
        do=BROKEN,
        how=500,
    ),
    Fault(19, "A layer is truncated at every attempt", sees=GONE, do=DROPPED, how="truncated", is_slow=True),
    Fault(
        19,
        "The content of a layer differs from its digest",
        sees=f"{GONE}verification failed",
        do=PULL,
        how="changed",
    ),
)
def test_what_a_registry_refuses_must_leave_the_stack_as_it_was(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    standing.front.fault = fault.how
    ended = standing.deploy()
    fault.told(ended)
    told = ended.stacks[standing.stack]
    assert told["running"] == before
    assert told["error"]["left_behind"] == "no container was changed"
    standing.endures(ended, state="failed", version=before)


@produces(Fault(19, "The registry is slow", sees="Deployed 1 of 1 stacks", how="slow", is_slow=True))
def test_a_slow_registry_must_only_take_longer(standing: Standing, fault: Fault) -> None:
    standing.change()
    standing.front.fault = fault.how
    running = standing.start()
    wait_for("the layer comes, byte by byte", lambda: standing.front.pulled > 9, 60)
    running.wait_for(" B)")
    standing.front.fault = ""
    ended = running.end(0)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(Fault(18, "Docker on the host is restarted during a pull", sees="Deployed 1 of 1 stacks"))
def test_a_pull_whose_engine_restarts_must_be_tried_again(standing: Standing, fault: Fault) -> None:
    standing.change()
    standing.front.fault = "slow"
    pulled = standing.front.pulled
    running = standing.start()
    wait_for("the layer comes, byte by byte", lambda: standing.front.pulled > pulled + 5, 60)
    standing.host.run("systemctl restart docker")
    standing.front.fault = ""
    ended = running.end(0)
    fault.told(ended)
    assert re.search(r"Pushing .* \([\d./]+ k?B\)", ended.stderr), "bytes of the push"
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(
    Fault(
        18,
        "The connection is lost during a pull from the local registry",
        sees="the connection to the local registry was lost; reconnecting …Deployed 1 of 1 stacks",
    )
)
def test_a_pull_whose_tunnel_is_cut_must_be_done_through_another(standing: Standing, fault: Fault) -> None:
    standing.change()
    standing.front.fault = "slow"
    pulled = standing.front.pulled
    running = standing.start()
    wait_for("the layer comes, byte by byte", lambda: standing.front.pulled > pulled + 5, 60)
    standing.proxy.reset()
    standing.front.fault = ""
    ended = running.end(0)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(
    Fault(
        18,
        "The sshd of the host forwards no ports, so it cannot reach the local registry",
        sees="port … of the host could not be forwarded to the local registry: ",
        do="sshd there does not forward ports: see `AllowTcpForwarding`, …",
    )
)
def test_an_sshd_that_forwards_no_ports_must_be_named(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    standing.host.run("echo AllowTcpForwarding no >/etc/ssh/sshd_config.d/closed.conf && systemctl reload ssh")
    # The connection of an earlier run would still forward.
    standing.proxy.reset()
    ended = standing.deploy()
    standing.host.run("rm /etc/ssh/sshd_config.d/closed.conf && systemctl reload ssh")
    fault.told(ended)
    standing.endures(ended, state="failed", version=before)


TRUST_ME = """
cd /run
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry \\
  -addext subjectAltName=IP:{address} -keyout tls.key -out tls.crt 2>/dev/null
openssl s_server -quiet -www -accept {address}:{port} -key tls.key -cert tls.crt >/dev/null 2>&1 </dev/null &
echo $! >tls.pid
"""


@contextmanager
def _self_signed(host: Host) -> Iterator[str]:
    """Have a registry with a certificate that nobody vouches for; what is on the loopback interface needs none."""
    address, port = host.run("hostname -I").split()[-1], 5443
    host.run(TRUST_ME.format(address=address, port=port))
    wait_for("TLS", lambda: host.says(f"curl --insecure --silent https://{address}:{port}/"), 30)
    try:
        yield f"{address}:{port}"
    finally:
        host.run("kill $(cat /run/tls.pid); rm /run/tls.*")


@produces(
    Fault(
        19,
        "The host does not trust the certificate of a registry (TLS)",
        sees="could not pull images: …x509: certificate signed by unknown authority",
        do=TRUST,
    )
)
def test_a_certificate_that_is_not_trusted_must_leave_the_stack_as_it_was(standing: Standing, fault: Fault) -> None:
    before = standing.version
    with _self_signed(standing.host) as server:
        standing.change(other(image=f"{server}/other:1"))
        ended = standing.deploy()
    fault.told(ended)
    standing.still_holds(ended, state="failed", version=before)
    standing.back()
    standing.endures()

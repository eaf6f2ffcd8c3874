"""Explain why a host does not forward its port to this machine."""

from __future__ import annotations

from contextlib import suppress

from kamal_dev.errors import HostError
from kamal_dev.model import Step
from kamal_dev.shell import Shell

ASKING = 20.0
# State 0A is listening, on IPv4 or IPv6. Source: proc_net_tcp.txt of the kernel.
LISTENS = "grep -qE ':{port:04X} 0*:0000 0A' /proc/net/tcp /proc/net/tcp6 2>/dev/null"


def refused(shell: Shell, host: str, port: int, reason: str) -> HostError:
    """Return why sshd could not listen: it does not say, but the host can tell whether the port is in use."""
    hint = f"another process on the host may use port {port}; choose another one in `registry.server`"
    with suppress(HostError):
        asked = shell.run(Step(("sh", "-c", LISTENS.format(port=port))), timeout=ASKING)
        if asked.exit_code == 1:
            hint = (
                "sshd there does not forward ports: see `AllowTcpForwarding`, `DisableForwarding`, `PermitListen` "
                "in its sshd_config, and the options of the key in authorized_keys"
            )
    return HostError(host, f"port {port} of the host could not be forwarded to the local registry: {reason}", hint=hint)

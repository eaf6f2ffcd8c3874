"""The keys that Compose knows, so that a slip of the pen is told before it is refused on a host.

Source: Compose Specification, compose-spec.json. A key of a later Compose is no mistake: it is only said.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from kamal_dev.compose.value import Value
from kamal_dev.model import Notice

TOP = frozenset(
    ("version", "name", "include", "services", "models", "networks", "volumes", "secrets", "configs"),
)
SERVICE = frozenset(
    (
        *(
            "annotations",
            "attach",
            "blkio_config",
            "build",
            "cap_add",
            "cap_drop",
            "cgroup",
            "cgroup_parent",
            "command",
        ),
        *("configs", "container_name", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period"),
        *("cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "credential_spec", "depends_on", "deploy", "develop"),
        *("device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname", "driver_opts", "entrypoint"),
        *("env_file", "environment", "expose", "extends", "external_links", "extra_hosts", "gpus", "group_add"),
        *("healthcheck", "hostname", "image", "init", "ipc", "isolation", "label_file", "labels", "links", "logging"),
        *("mac_address", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "models", "network_mode"),
        *("networks", "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform", "ports", "post_start"),
        *(
            "pre_stop",
            "privileged",
            "profiles",
            "provider",
            "pull_policy",
            "pull_refresh_after",
            "read_only",
            "restart",
        ),
        *("runtime", "scale", "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal"),
        *("storage_opt", "sysctls", "tmpfs", "tty", "ulimits", "use_api_socket", "user", "userns_mode", "uts"),
        *("volumes", "volumes_from", "working_dir"),
    )
)


def notices(project: Value) -> Iterator[Notice]:
    """Say which keys of the project and of its services Compose does not know."""
    yield from _strange(project, TOP, "")
    services = project.at("services")
    for name, service in services.items.items() if services is not None else ():
        yield from _strange(service, SERVICE, f"services.{name}.")


def _strange(value: Value, known: frozenset[str], path: str) -> Iterator[Notice]:
    for key, item in value.items.items():
        if key not in known and not key.startswith("x-"):
            near = difflib.get_close_matches(key, known, 1)
            asked = f": is `{near[0]}` meant?" if near else ""
            yield Notice(item.where, f"{path}{key}: is no key of Compose, which will refuse it{asked}")

"""What `docker stack deploy` does with each key of a service. Source: docker/cli, cli/compose (schema 3.13)."""

from __future__ import annotations

# Kept as the same key: with lists of text, pairs, booleans, text, or as they are.
LISTS = ("cap_add", "cap_drop", "dns", "dns_search")
BOOLEANS = ("init", "read_only", "stdin_open", "tty")
PAIRS = ("sysctls",)
TEXTS = ("image", "stop_grace_period", "stop_signal", "user", "working_dir")
PLAIN = ("logging", "ulimits")

# Read by `swarm_service`, each in its own way.
TRANSLATED = frozenset(
    (
        *("command", "configs", "cpus", "deploy", "depends_on", "entrypoint", "env_file", "environment", "expose"),
        *("extra_hosts", "healthcheck", "hostname", "label_file", "labels", "links", "mem_limit", "mem_reservation"),
        *("networks", "pids_limit", "ports", "restart", "scale", "secrets", "shm_size", "tmpfs", "volumes"),
    )
)

# Without an effect on what runs: nothing is lost.
SILENT = frozenset(("build", "develop", "profiles", "pull_policy", "attach", "x-restart"))
DROPPED = {
    "container_name": "left out: Swarm names containers after their tasks",
    "platform": "left out: the image has one platform, that of the nodes",
}

LOST = {
    "network_mode": "Swarm cannot share the network of a service or of the node",
    "privileged": "Swarm has no privileged containers",
    "devices": "Swarm gives containers no devices of the node",
    "device_cgroup_rules": "Swarm gives containers no devices of the node",
    "gpus": "Swarm gives containers no devices of the node",
    "security_opt": "Swarm ignores it",
    "ipc": "Swarm cannot share namespaces",
    "pid": "Swarm cannot share namespaces",
    "uts": "Swarm cannot share namespaces",
    "userns_mode": "Swarm cannot share namespaces",
    "cgroup": "Swarm cannot share namespaces",
    "volumes_from": "Swarm cannot mount the volumes of another container",
    "external_links": "Swarm ignores it",
    "memswap_limit": "Swarm sets no limit of swap",
    "post_start": "Swarm runs no hooks",
    "pre_stop": "Swarm runs no hooks",
}
UNKNOWN = "Swarm has no setting for it"

OF_DEPLOY = (
    *("labels", "mode", "replicas", "update_config", "rollback_config", "resources", "restart_policy", "placement"),
    "endpoint_mode",
)

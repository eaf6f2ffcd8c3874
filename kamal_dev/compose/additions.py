"""What devcontainer.json and config/dev.yml add to the main service."""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING

from kamal_dev.compose import stack_variables
from kamal_dev.devcontainer.configuration import NOWHERE
from kamal_dev.model.stack_engine import COMPOSE, StackEngine
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.config import Config
    from kamal_dev.devcontainer import Devcontainer, Mount
    from kamal_dev.model import ImageConfig, Location


@dataclass(frozen=True)
class Additions:
    """Hold what the main service gets in addition to the compose files.

    `service` is the name of what is deployed, `main` the compose service that people work in. `secrets` are names of
    variables; their values are never in here. `keeps_running` replaces the command by one that only keeps the
    container running. `entrypoints` run before it; if there are any, `image` says what the image would run itself.
    `run_services` are those to start; empty means all. `without_source` leaves out mounts of the repository, because
    the images contain the source. `expose` leaves published ports as written, in all services. `restart` is the
    policy of services that set none. `mentioned` are the variables of a stack that devcontainer.json mentions
    anywhere. `forwarded` are the ports that it forwards, as `port` or `service:port`. `is_shared`: other stacks of the
    project run on the same host. `engine` runs the stack.
    """

    service: str
    main: str
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    user: str = ""
    init: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    security_where: Location = field(default=NOWHERE, compare=False)
    privileged_where: Location = field(default=NOWHERE, compare=False)
    swap_where: Location = field(default=NOWHERE, compare=False)
    keeps_running: bool = False
    entrypoints: tuple[str, ...] = ()
    image: ImageConfig | None = None
    cpus: str = ""
    memory: str = ""
    memory_swap: str = ""
    run_services: tuple[str, ...] = ()
    without_source: bool = False
    expose: bool = False
    restart: str = ""
    mentioned: frozenset[str] = frozenset()
    forwarded: tuple[str, ...] = ()
    is_shared: bool = False
    engine: StackEngine = COMPOSE


def additions(
    devcontainer: Devcontainer,
    config: Config,
    main: str,
    run_services: tuple[str, ...] = (),
    image: ImageConfig | None = None,
) -> Additions:
    """Merge the additions of both files.

    `main` is a service of the compose project, `run_services` those to start by name; `image` is how the image of the
    main service is run.
    """
    return Additions(
        service=config.service,
        main=main,
        environment=devcontainer.container_env,
        secrets=config.secrets,
        mounts=devcontainer.mounts,
        user=devcontainer.container_user,
        init=bool(devcontainer.init),
        privileged=bool(devcontainer.privileged),
        cap_add=devcontainer.cap_add,
        security_opt=devcontainer.security_opt,
        security_where=devcontainer.where("securityOpt"),
        privileged_where=devcontainer.where("privileged"),
        swap_where=config.where.get("defaults.memory_swap", NOWHERE),
        keeps_running=devcontainer.override_command,
        entrypoints=devcontainer.entrypoints,
        image=image if devcontainer.entrypoints else None,
        cpus=config.limits.cpus,
        memory=config.limits.memory,
        memory_swap=config.limits.memory_swap,
        run_services=run_services,
        without_source=config.workspace.source == "image",
        expose=config.expose,
        restart=config.restart,
        mentioned=stack_variables.mentioned(json.dumps(devcontainer.configuration, default=str)),
        forwarded=tuple(map(str, devcontainer.forward_ports)),
        is_shared=config.placement.per_host > 1,
    )

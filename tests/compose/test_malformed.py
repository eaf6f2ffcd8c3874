"""What no Compose would read is refused here, with file, line and what was meant, before anything is built.

Keys, types and texts are judged by the Compose Specification's own schema and by the grammars of ports, durations,
sizes and names. Compose itself, where it is installed, is the second judge: what it refuses is refused here, and what
it reads is not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.errors import ComposeError
from tests.compose.oracle import Refused, configured
from tests.compose.support import DEFAULT, load

HEAD = "services:\n  app:\n    image: debian\n"
# What is written below `services.app` from line 4 on, and what is said of it.
MISSPELT = {
    "a key of a service": (
        "restrat: unless-stopped",
        ":4:5: services.app.restrat: is not a Compose key; did you mean `restart`?",
    ),
    "a key whose value is a mapping": (
        "enviroment:\n      A: b",
        ":4:5: services.app.enviroment: is not a Compose key",
    ),
    "a key with a hyphen": ("mem-limit: 1g", "did you mean `mem_limit`?"),
    "a key of build": (
        "build: {contxt: .}",
        ":4:13: services.app.build.contxt: is not a Compose key; did you mean `context`?",
    ),
    "a key of healthcheck": (
        "healthcheck:\n      intervall: 5s",
        ":5:7: services.app.healthcheck.intervall: .*`interval`",
    ),
    "a key of deploy": ("deploy: {resource: {}}", "services.app.deploy.resource: .*`resources`"),
    "a key deep in deploy": ("deploy: {resources: {limits: {memry: 1g}}}", "limits.memry: .*`memory`"),
    "a key of logging": ("logging: {drver: none}", "services.app.logging.drver: .*`driver`"),
    "a key of a port": ("ports: [{target: 80, publishd: '80'}]", r"ports\[0\].publishd: .*`published`"),
    "a key of a volume": ("volumes: [{type: bind, sorce: ., target: /w}]", r"volumes\[0\].sorce: .*`source`"),
    "a key of a network of a service": ("networks: {default: {alias: [a]}}", "networks.default.alias: .*`aliases`"),
    "a condition": ("depends_on: {app: {condition: service_up}}", "condition: must be one of `service_started`"),
    "a policy of restart": ("restart: alwys", ":4:14: services.app.restart: .*did you mean `always`?"),
    "a capability": (
        "cap_add: [SYS_PTRAC]",
        r"cap_add\[0\]: `SYS_PTRAC` is not a capability; did you mean `SYS_PTRACE`?",
    ),
    "a ulimit": ("ulimits: {nofiles: 1}", "did you mean `nofile`?"),
}
WRONG = {
    "a port beyond 65535": ("ports: ['80000:8000']", r":4:13: services.app.ports\[0\]: port `80000` is not between"),
    "a port of a container beyond 65535": ("ports: ['80:70000']", "port `70000`"),
    "a long port beyond 65535": ("ports: [{target: 80000}]", "port `80000`"),
    "a port that is a word": ("ports: ['web:80']", "`web` is not a port"),
    "ranges of two lengths": ("ports: ['8000-8001:80-82']", "differ in length"),
    "a protocol": ("ports: ['80:80/tpc']", "did you mean `tcp`"),
    "an address that is none": ("ports: ['1.2.3.400:80:80']", "`1.2.3.400` is not an IP address"),
    "a port that is no list": ("ports: '80:80'", "services.app.ports: must be a list, not `80:80`"),
    "an exposed port": ("expose: ['80000']", "port `80000`"),
    "a duration without unit": ("healthcheck: {interval: '10'}", "`10` is not a duration; .* such as `10s`"),
    "a duration that is a number": ("stop_grace_period: 10", "`10` is not a duration"),
    "a duration in words": ("healthcheck: {timeout: 10seconds}", "`10seconds` is not a duration"),
    "a size": ("mem_limit: 1gx", "`1gx` is not a size"),
    "a size of shared memory": ("shm_size: lots", "`lots` is not a size"),
    "a number of CPUs": ("cpus: two", "services.app.cpus: must be a number, not `two`"),
    "a number of replicas": ("deploy: {replicas: two}", "must be a whole number, not `two`"),
    "a truth": ("tty: maybe", "services.app.tty: must be `true` or `false`, not `maybe`"),
    "a command that is a mapping": ("command: {a: b}", "services.app.command: must be text or a list, not a mapping"),
    "a user that is a number": ("user: 1000", "services.app.user: must be text, not `1000`"),
    "an entry of environment": ("environment: {A: [1]}", "services.app.environment.A: must be"),
    "profiles that are text": ("profiles: dev", "services.app.profiles: must be a list"),
    "the first word of a test": ("healthcheck: {test: [curl, x]}", "must begin with `CMD`"),
    "a host without address": ("extra_hosts: [db]", "`db` is not `name:address`"),
    "the name of a container": ("container_name: a b", "is not a valid container name"),
    "a target that is relative": ("volumes: ['./a:b']", "must be absolute, not `b`"),
    "a volume with too many colons": ("volumes: ['./a:/b:ro:x']", "too many colons"),
    "a score that is too high": ("oom_score_adj: 5000", "must be at most 1000"),
}
# What engines refuse and `docker compose config` lets pass.
ENGINE = ("policy of restart", "capability", "ulimit", "long port", "exposed port", "name of a container", "relative")
TOP = {
    "a key": ("volums: {data: {}}", ":4:1: volums: is not a Compose key; did you mean `volumes`?"),
    "a key of a volume": ("volumes: {data: {drvr: local}}", "volumes.data.drvr: .*`driver`"),
    "a key of a network": ("networks: {back: {internl: true}}", "networks.back.internl: .*`internal`"),
    "a subnet": ("networks: {back: {ipam: {config: [{subnet: 172.28}]}}}", "`172.28` is not a subnet"),
    "a name": ("volumes: {'da ta': {}}", "volumes.da ta: `da ta` is not a name"),
    "a secret": ("secrets: {token: {fil: ./x}}", "secrets.token.fil: .*`file`"),
}
FINE = (
    "x-own: {restrat: 1}",
    "tty: 'true'",
    "privileged: 'yes'",
    "cpus: '0.5'",
    "mem_limit: 1 GiB",
    "memswap_limit: -1",
    "restart: 'no'",
    "ports: ['8000-8001:80', '[::1]:81:81', '127.0.0.1::82', 83, '84/udp', ':85', '0:86']",
    "ports: [{target: '${PORT}', published: '8000-8010', x-a: 1}]",
    "healthcheck: {test: [], interval: 1m30s, start_period: '0', timeout: 1.5s}",
    "deploy: {replicas: '1', resources: {limits: {cpus: '1.5', memory: 50M}}}",
    "ulimits: {nofile: {soft: 1, hard: '2'}}",
    "depends_on: [db]",
    "networks: [back]",
    "environment: [A=b, C]",
    "volumes: [data:/data, ./a:/b:ro, /c, 'C:\\a:/d']",
    "extra_hosts: ['host.docker.internal:host-gateway', 'a=1.2.3.4']",
    "command: null",
    "oom_score_adj: ${SCORE:-5}",
    "tty: ${TTY:-true}",
    "cpus: ${CPUS:-1.5}",
    "scale: ${SCALE:-1}",
    "pids_limit: ${PIDS:-100}",
    "shm_size: ${SHM:-64m}",
    "healthcheck: {retries: '${RETRIES:-3}', interval: '${EVERY:-5s}'}",
)
REST = "  db: {image: debian}\nnetworks: {back: {}}\nvolumes: {data: {}}\n"
ENVIRONMENT = {"PORT": "80"}


def problems(text: str, **options: Any) -> list[str]:
    """Return what a deploy is refused with before it builds anything."""
    try:
        return [str(problem) for problem in load(text, **options).problems]
    except ComposeError as error:
        return [str(problem) for problem in error.problems]


def is_read_by_compose(text: str, folder: Path) -> bool:
    (folder / "compose.yaml").write_text(text)
    try:
        configured(folder, environment=ENVIRONMENT)
    except Refused:
        return False
    return True


def refuse(text: str, says: str) -> None:
    found = problems(text)
    assert found[0].startswith(DEFAULT)
    assert re.search(says.replace("?", r"\?"), found[0]), found


@pytest.mark.parametrize(("line", "says"), [*MISSPELT.values(), *WRONG.values()], ids=[*MISSPELT, *WRONG])
def test_what_is_misspelt_or_wrong_in_a_service_is_refused_with_its_line(line: str, says: str) -> None:
    refuse(f"{HEAD}    {line}\n", says)


@pytest.mark.parametrize(("line", "says"), TOP.values(), ids=TOP)
def test_what_is_misspelt_beside_the_services_is_refused_with_its_line(line: str, says: str) -> None:
    refuse(f"{HEAD}{line}\n", says)


@pytest.mark.parametrize("name", [name for name in {**MISSPELT, **WRONG} if not any(word in name for word in ENGINE)])
def test_compose_refuses_it_too(name: str, tmp_path: Path) -> None:
    assert not is_read_by_compose(f"{HEAD}    {({**MISSPELT, **WRONG})[name][0]}\n", tmp_path)


@pytest.mark.parametrize("line", FINE)
def test_what_compose_reads_is_not_refused(line: str, tmp_path: Path) -> None:
    text = f"{HEAD}    {line}\n{REST}"
    assert is_read_by_compose(text, tmp_path)
    assert problems(text, environment=ENVIRONMENT) == []


def test_a_misspelt_key_of_an_anchor_is_told_once_where_it_is_written() -> None:
    text = f"x-common: &common\n  restrat: always\n{HEAD}    <<: *common\n  db:\n    image: debian\n    <<: *common\n"
    refuse(text, ":2:3: services.app.restrat: is not a Compose key")


def test_every_file_is_read_and_its_own_line_is_told() -> None:
    files = {
        DEFAULT: "include: [more.yaml]\nservices:\n  app:\n    extends: {file: base.yaml, service: base}\n",
        ".devcontainer/base.yaml": "services:\n  base:\n    image: debian\n    ttty: true\n",
        ".devcontainer/more.yaml": "services:\n  db:\n    image: debian\n    comand: x\n",
    }
    assert sorted(line.partition(": is not")[0] for line in problems("", files=files)) == [
        ".devcontainer/base.yaml:4:5: services.app.ttty",
        ".devcontainer/more.yaml:4:5: services.db.comand",
    ]


def test_a_required_variable_that_is_not_set_is_refused_with_its_line() -> None:
    refuse(f"{HEAD}    environment:\n      TOKEN: ${{TOKEN:?ask the team}}\n", ":5:14: .*ask the team")

import pytest

from kamal_dev.devcontainer.run_args import translate
from kamal_dev.devcontainer.run_flags import SWITCHES, flags
from kamal_dev.devcontainer.run_rules import REFUSED, RULES
from kamal_dev.model import Location

KNOWN = RULES.keys() | REFUSED.keys()


def translation(*words: str, ports: tuple[str, ...] = ()):
    return translate(
        words,
        ports,
        environment={"TOKEN": "t0"},
        local=lambda path: f"LOCAL({path})",
        where=lambda key, index: Location("f.json", index + 1),
    )


def service(*words: str):
    found = translation(*words)
    assert found.notices == ()
    return found.service


def refused(written: str, reason: str) -> str:
    return f"`{written}` in runArgs is ignored: {reason}"


def notices(*words: str) -> list[str]:
    return [str(notice) for notice in translation(*words).notices]


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["--cap-add", "A", "--cap-add=B"], [("cap-add", "A"), ("cap-add", "B")]),
        (["-it"], [("interactive", "true"), ("tty", "true")]),
        (["-itu", "me", "-p=80:80"], [("interactive", "true"), ("tty", "true"), ("user", "me"), ("publish", "80:80")]),
        (["-eA=b", "-e", "-x=y"], [("env", "A=b"), ("env", "-x=y")]),
        (["--init=false", "-t=false"], [("init", "false"), ("tty", "false")]),
        (["--name"], [("name", None)]),
        (["-v"], [("volume", None)]),
        (["--strange", "x", "--other", "--init"], [("strange", "x"), ("other", None), ("init", "true")]),
        (["-Z", "x"], [("Z", "x")]),
        (["bare", "-", "--", ""], [("", "bare"), ("", "-"), ("", "--"), ("", "")]),
        (["--label=a b", "b"], [("label", "a b"), ("", "b")]),
    ],
)
def test_words_are_split_as_docker_splits_them(words, read):
    assert [(flag.name, flag.value) for flag in flags(words, KNOWN)] == read


def test_every_switch_is_known():
    assert SWITCHES - {"use-api-socket"} <= KNOWN


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["--add-host", "db:10.0.0.1"], {"extra_hosts": ["db:10.0.0.1"]}),
        (["--cap-add=SYS_PTRACE", "--cap-add=NET_ADMIN"], {"cap_add": ["SYS_PTRACE", "NET_ADMIN"]}),
        (["--security-opt", "seccomp=unconfined"], {"security_opt": ["seccomp=unconfined"]}),
        (["--privileged", "--init"], {"privileged": True, "init": True}),
        (["--device=/dev/kvm"], {"devices": ["/dev/kvm"]}),
        (
            ["--device-read-bps=/dev/sda:1mb"],
            {"blkio_config": {"device_read_bps": [{"path": "/dev/sda", "rate": "1mb"}]}},
        ),
        (
            ["--blkio-weight-device=/dev/sda:300"],
            {"blkio_config": {"weight_device": [{"path": "/dev/sda", "weight": 300}]}},
        ),
        (["--env-file", ".env"], {"env_file": [{"path": "LOCAL(.env)", "format": "raw"}]}),
        (["-h", "box", "--shm-size=1g"], {"hostname": "box", "shm_size": "1g"}),
        (["-m", "512m", "--cpus=1.5"], {"deploy": {"resources": {"limits": {"memory": "512m", "cpus": "1.5"}}}}),
        (["--pids-limit", "-1"], {"deploy": {"resources": {"limits": {"pids": -1}}}}),
        (["--ipc=host", "--pid", "host", "--userns=host"], {"ipc": "host", "pid": "host", "userns_mode": "host"}),
        (
            ["--ulimit=nofile=1024:2048", "--ulimit", "core=-1"],
            {"ulimits": {"nofile": {"soft": 1024, "hard": 2048}, "core": {"soft": -1, "hard": -1}}},
        ),
        (["-l", "a=b=c", "--label=d"], {"labels": {"a": "b=c", "d": ""}}),
        (["--tmpfs", "/run:size=1m"], {"tmpfs": ["/run:size=1m"]}),
        (["--restart=on-failure:3"], {"restart": "on-failure:3"}),
        (["--platform", "linux/arm64/v8"], {"platform": "linux/arm64/v8"}),
        (["-w", "/w", "--entrypoint=/bin/sh"], {"working_dir": "/w", "entrypoint": ["/bin/sh"]}),
        (["--entrypoint="], {"entrypoint": []}),
        (["--stop-timeout", "7"], {"stop_grace_period": "7s"}),
        (
            ["--log-driver=local", "--log-opt", "max-size=1m"],
            {"logging": {"driver": "local", "options": {"max-size": "1m"}}},
        ),
        (["--health-cmd=true", "--health-retries=3"], {"healthcheck": {"test": "true", "retries": 3}}),
        (["-it"], {"stdin_open": True, "tty": True}),
        (
            ["--gpus", "all"],
            {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": "all"}]}}}},
        ),
        (
            ["--gpus", '"device=0,1",capabilities=compute,driver=nvidia'],
            {
                "deploy": {
                    "resources": {
                        "reservations": {
                            "devices": [{"capabilities": ["compute"], "device_ids": ["0", "1"], "driver": "nvidia"}]
                        }
                    }
                }
            },
        ),
        (
            ["--gpus=count=2"],
            {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": 2}]}}}},
        ),
        (["--network=host"], {"network_mode": "host"}),
        (["--network-alias", "web", "--net-alias=w"], {"networks": {"default": {"aliases": ["web", "w"]}}}),
        (["--network=alias=web"], {"networks": {"default": {"aliases": ["web"]}}}),
        (["-p", "127.0.0.1:80:80", "-p", "[::1]:5:6/udp"], {"ports": ["127.0.0.1:80:80", "[::1]:5:6/udp"]}),
    ],
)
def test_flags_become_compose_keys(words, read):
    assert service(*words) == read


def test_every_rule_takes_a_value():
    samples = {"ulimit": "core=0", "blkio-weight-device": "/dev/a:1", "network": "host", "net": "host"}
    for name, (_, key) in RULES.items():
        value = samples.get(name) or ("/dev/a:1mb" if name.startswith("device-") else "/d" if key == "short" else "1")
        value = "type=tmpfs,target=/t" if name == "mount" else "A=b" if name == "env" else value
        found = translation(f"--{name}={value}")
        assert not [notice for notice in found.notices if "ignored" in notice.message], name
        assert found.service or found.mounts or found.environment or found.user, name


def test_environment_and_user_stand_apart_because_they_win():
    found = translation("-e", "A=b=c", "--env=TOKEN", "-u=me:us")
    assert found.environment == (("A", "b=c"), ("TOKEN", "t0"))
    assert found.user == "me:us"
    assert found.service == {}


def test_mounts_of_both_spellings_are_read():
    found = translation("-v", "data:/d:ro", "--mount", "type=tmpfs,target=/t")
    assert [(mount.type, mount.source, mount.target, mount.where.line) for mount in found.mounts] == [
        ("volume", "data", "/d", 1),
        ("tmpfs", "", "/t", 3),
    ]


def test_published_ports_are_those_of_the_service_as_they_are_written():
    found = translation("-p", "8080:80", "--publish=9090/udp", ports=("3000", "4000:4001", "0.0.0.0:1:2"))
    assert found.service == {
        "ports": [
            "3000:3000",
            "4000:4001",
            "0.0.0.0:1:2",
            "8080:80",
            "9090/udp",
        ]
    }
    assert found.notices == ()


def test_a_named_network_is_one_of_the_stack():
    found = translation("--network", "name=back.end,alias=web,ip=10.0.0.1")
    assert found.service == {"networks": {"back.end": {"aliases": ["web"]}}}
    assert found.networks == {"back.end": {}}
    assert [notice.message for notice in found.notices] == [
        "network `back.end` is the stack's own: a host has no network of that name",
        refused("--network name=back.end,alias=web,ip=10.0.0.1", "`ip` of a network is not supported"),
    ]


def test_the_hosts_network_excludes_other_networks():
    found = translation("--network=other", "--network=host")
    assert found.service == {"network_mode": "host"}
    assert found.networks == {}
    assert found.notices[-1].message == "network `host` in runArgs cannot be combined with other networks"


@pytest.mark.parametrize(
    ("words", "notice"),
    [
        (
            ["--name=x"],
            refused("--name=x", "containers are named after their stack, or two stacks would collide"),
        ),
        (["--rm"], refused("--rm", "the stack's containers are removed with the stack")),
        (["-d"], refused("-d", "a stack always runs in the background")),
        (["--link", "db"], refused("--link db", "a host has no container of that name")),
        (
            ["--network=container:x"],
            refused("--network=container:x", "`container:x` is not a container of the stack"),
        ),
        (
            ["--pid=container:x"],
            refused("--pid=container:x", "`container:x` is not a container of the stack"),
        ),
        (["--strange", "x"], refused("--strange x", "it has no equivalent in Compose")),
        (
            ["--cap-add SYS_PTRACE"],
            refused("--cap-add SYS_PTRACE", "flag and value are one argument: split them"),
        ),
        (["debian"], refused("debian", "it is not a flag")),
        (["--cpus"], refused("--cpus", "its value is missing")),
        (["-e", "UNSET"], refused("-e UNSET", "`UNSET` is not set here")),
        (["--cpu-shares=x"], refused("--cpu-shares=x", "its value is not a number")),
        (["--ulimit=core"], refused("--ulimit=core", "it is not `name=soft:hard`")),
        (
            ["--device-read-bps=x"],
            refused("--device-read-bps=x", "it has no rate: expected `device:rate`"),
        ),
        (
            ["--gpus=wat=1"],
            refused("--gpus=wat=1", "`wat` of a GPU has no equivalent in Compose"),
        ),
        (
            ["--mount=target"],
            refused("--mount=target", "it has `target` without a value: expected `type=…,source=…,target=…`"),
        ),
        (["-v", "a:/b:wat"], "`wat` of this volume has no equivalent in Compose"),
    ],
)
def test_what_has_no_place_is_said_once_with_its_line(words, notice):
    assert notices(*words) == [f"f.json:1: {notice}"]

"""Compose itself as the judge of the compose file that is made of `runArgs`."""

import json
import shlex
import shutil
import subprocess

import pytest

from kamal_dev import devcontainer

FLAGS = """
--add-host=a:1.2.3.4 --annotation=k=v --blkio-weight=300 --cap-add=SYS_PTRACE --cap-drop ALL --cgroup-parent=/x
--cgroupns=host --cpu-period=1000 --cpu-quota 2000 -c 512 --cpus=1.5 --cpuset-cpus=0,1 --device=/dev/fuse:/dev/fuse:rwm
--device-read-bps=/dev/sda:1mb --dns=8.8.8.8 --dns-option=ndots:1 --dns-search=x.y --domainname=dn --entrypoint=/bin/sh
--expose=80 --gpus=all --group-add=video --health-cmd=true --health-interval=5s --health-retries=3 -h box --init -it
--ipc=host -l a=b$c --log-driver=json-file --log-opt max-size=1m -m 512m --memory-reservation=256m --memory-swap=1g
--mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770 --mount=type=volume,src=vv,dst=/vv,volume-opt=type=nfs
--network=backend --network-alias=web --oom-score-adj=10 --pid=host --pids-limit=100 --platform=linux/amd64
--privileged -p 8080:80 --publish=9090 --read-only --restart=on-failure:3 --runtime=runc
--security-opt seccomp=unconfined
--shm-size=1g --stop-signal=SIGINT --stop-timeout=7 --sysctl=net.core.somaxconn=1024 --tmpfs=/run:size=1m
--ulimit=nofile=1024:2048 --userns=host --uts=host -v named:/n:ro -v ./x:/x:z -v /anonymous -w /w
"""


def composed(text: str, folder) -> dict:
    (folder / "compose.yaml").write_text(text, encoding="utf-8")
    command = ["docker", "compose", "--project-directory", str(folder), "config", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs Docker's command line")
def test_compose_takes_every_key_that_run_args_become(load, tmp_path):
    found = load({"image": "base:1", "runArgs": shlex.split(FLAGS), "appPort": [3000]})
    assert not [notice for notice in found.notices if "ignored" in notice.message]
    read = composed(devcontainer.as_compose(found), tmp_path)
    service = read["services"][devcontainer.SERVICE]
    assert service["labels"] == {"a": "b$$c"}
    assert service["deploy"]["resources"]["limits"] == {"cpus": 1.5, "memory": "536870912", "pids": 100}
    assert {port["target"] for port in service["ports"]} >= {3000}
    assert [(mount["type"], mount.get("source")) for mount in service["volumes"]] == [
        ("bind", str(tmp_path.parent)),
        ("tmpfs", None),
        ("volume", "vv"),
        ("volume", "named"),
        ("bind", str(tmp_path.parent / "x")),
        ("volume", None),
    ]
    assert set(read["volumes"]) == {"vv", "named"}
    assert set(read["networks"]) == {"backend"}

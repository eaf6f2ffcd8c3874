"""Read a case: what hosts said and what is asked for, as YAML, with the plan that is made of it as text beside it.

Every host is a running one with `v1` on it unless the case says otherwise; every key below stands in place of what
is here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kamal_dev.commands import answers
from kamal_dev.commands.stacks import KeptRelease, Leftover
from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host, Image, Lifetime, Location, Release, Version
from kamal_dev.plan.admission import Requirements, ServicePlatform
from kamal_dev.plan.deploy import deploy
from kamal_dev.plan.expired import ReapCandidate, reap
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.plan import Plan
from kamal_dev.plan.prune import Leftovers, prune
from kamal_dev.plan.remove import remove
from kamal_dev.plan.request import Candidate, DeployRequest, PlannedImage
from kamal_dev.plan.rollback import KeptReleases, rollback
from kamal_dev.plan.sync import sync

HERE = Path(__file__).parent / "cases"
FACTS: dict[str, Any] = {
    "daemon": True,
    "engine": "28.0",
    "compose": "2.40.0",
    "has_engine": True,
    "arch": "amd64",
    "cpus": 4,
    "memory": 8 << 30,
    "disk": 100 << 30,
    "disk_free": 50 << 30,
    "home_free": 50 << 30,
    "release": "v1",
    "intact": True,
    "workspace": ["blog"],
    "source": {"kind": "git"},
    "images": ["registry.example.com/blog@sha256:1", "postgres:15"],
    "parts": {"app": {"image": "1", "environment.TITLE": "1", "ports": "1"}, "db": {"image": "1"}},
}
CONTAINER = {"name": "", "image": "", "state": "running"}
PROJECT: dict[str, Any] = {
    "version": "v2",
    "digest": "2",
    "image": "sha256:1",
    "third_party": ["postgres:15"],
    "workspace": ["blog"],
    "parts": FACTS["parts"],
}


def names() -> list[str]:
    """Return the cases that there are."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    """Return a case as it is written."""
    data: dict[str, Any] = YAML(typ="safe").load((HERE / f"{name}.yaml").read_text())
    return data


def plan(case: Mapping[str, Any]) -> Plan:
    """Return the plan of a case."""
    made: Plan = _VERBS[case.get("verb", "deploy")](case)
    return made


def of_deploy(case: Mapping[str, Any]) -> Plan:
    """Return the plan of a deploy."""
    project = {**PROJECT, **case.get("project", {})}
    seen = [observation(name, said) for name, said in case["hosts"].items()]
    options = dict(case.get("options", {}))
    needs = requirements(project, options)
    made = {item.stack: candidate(item.stack, project, needs) for item in seen}
    return deploy(seen, made, request(project, options))


def candidate(stack: str, project: Mapping[str, Any], needs: Requirements) -> Candidate:
    """Return the release that a stack gets."""
    version, digest = project["version"], project["digest"]
    release = Release(
        f"{version}-{digest}",
        stack,
        Version(version),
        digest,
        (),
        images=(("app", image(project)),),
        third_party=tuple(project["third_party"]),
        workspace=tuple(project["workspace"]),
    )
    asked = ("is_sent", "is_offered", "follows_source")
    return Candidate(release, lines(project["parts"]), needs, **{name: project.get(name, False) for name in asked})


def image(project: Mapping[str, Any]) -> Image:
    """Return the image of the service `app`."""
    return Image("registry.example.com", "blog", project["version"], project["image"] or "")


def requirements(project: Mapping[str, Any], options: dict[str, Any]) -> Requirements:
    """Take out of the options what is asked of hosts."""
    return Requirements(
        options.pop("host_requirements", {}),
        Location(".devcontainer/devcontainer.json", 3),
        options.pop("warns", False),
        (image(project).on(options.pop("platforms", ())),),
        tuple(ServicePlatform(Location("compose.yaml", 4), *words) for words in options.pop("services", ())),
        options.pop("lock_wait", 600),
    )


def request(project: Mapping[str, Any], options: dict[str, Any]) -> DeployRequest:
    """Return what is asked for."""
    status = options.pop("image", "built")
    images = (PlannedImage(image(project), ("app",), status != "built", status != "to be built"),)
    moved = frozenset(options.pop("source_moved", ()))
    return DeployRequest(images, "docker", source_moved=moved, **{"source": "git", "folder": "blog", **options})


def observation(stack: str, said: Any) -> Observation:
    """Return what is known of a host: `missing`, `off`, `no answer`, or its facts."""
    host = Host(stack, "10.0.0.1")
    if said == "missing":
        return Observation(stack)
    if said == "off":
        return Observation(stack, Host(stack, ""))
    if said == "no answer":
        return Observation(stack, host, error=HostUnreachable(stack, "host does not answer"))
    said = dict(said or {})
    inside = tuple((service, what) for service, what in said.pop("inside", {}).items())
    return Observation(stack, host, answers.facts(answered({**FACTS, **said})), inside=inside)


def answered(facts: Mapping[str, Any]) -> str:
    """Return the facts as a host prints them; releases, images and parts are written in short."""
    release = facts["release"]
    if isinstance(release, str):
        release = {"id": f"{release}-{release[1:]}", "digest": release[1:], "version": release, "good": True}
    containers = [{"type": "container", **CONTAINER, **item} for item in facts.get("containers", ())]
    about = {
        **{key: value for key, value in facts.items() if key != "containers"},
        "type": "facts",
        "release": release,
        "images": [{"names": [name]} for name in facts["images"]],
        "parts": lines(facts["parts"]),
    }
    return "\n".join(map(json.dumps, [about, *containers]))


def lines(parts: Mapping[str, Mapping[str, str]]) -> str:
    """Return parts as `compose.parts` writes them."""
    return "\n".join(f"{service}\t{part}\t{hash_}" for service, own in parts.items() for part, hash_ in own.items())


def _of_rollback(case: Mapping[str, Any]) -> Plan:
    kept = [
        KeptReleases(stack, Host(stack, "10.0.0.1"), tuple(_kept(stack, item) for item in found))
        if isinstance(found, list)
        else KeptReleases(stack, Host(stack, ""), error=HostUnreachable(stack, "host does not answer"))
        for stack, found in case["hosts"].items()
    ]
    return rollback(kept, case.get("version", ""))


def _kept(stack: str, said: Mapping[str, Any]) -> KeptRelease:
    version = said["version"]
    about = {"id": f"{version}-0000", "performer": "ann", "at": "2026-01-02T03:04:05Z", "good": True}
    return KeptRelease(stack, **{**about, **said, "missing": tuple(said.get("missing", ()))})


def _of_remove(case: Mapping[str, Any]) -> Plan:
    targets = {stack: Host(stack, "" if said == "off" else "10.0.0.1") for stack, said in case["hosts"].items()}
    made = case.get("created", dict.fromkeys(targets if case.get("provider") != "static" else (), ""))
    return remove(targets, made, keep_volumes=case.get("keep_volumes", False))


def _of_prune(case: Mapping[str, Any]) -> Plan:
    found = [
        Leftovers(stack, Host(stack, "10.0.0.1"), tuple(Leftover(**piece) for piece in pieces))
        for stack, pieces in case["hosts"].items()
    ]
    return prune(found)


def _of_reap(case: Mapping[str, Any]) -> Plan:
    found = [_candidate(stack, dict(said), case.get("provider", "static")) for stack, said in case["hosts"].items()]
    return reap(found)


def _candidate(stack: str, said: dict[str, Any], provider: str) -> ReapCandidate:
    error = HostUnreachable(stack, "host does not answer") if said.pop("silent", False) else None
    lifetime = Lifetime(**said.pop("lifetime")) if "lifetime" in said else None
    created = {"created": "" if provider != "static" else None, **said}
    return ReapCandidate(stack, Host(stack, "10.0.0.1"), lifetime=lifetime, error=error, **created)


def _of_sync(case: Mapping[str, Any]) -> Plan:
    (seen,) = (observation(stack, said) for stack, said in case["hosts"].items())
    return sync(seen, case.get("source", "git"), "blog", force=case.get("force", False))


_VERBS = {
    "deploy": of_deploy,
    "rollback": _of_rollback,
    "remove": _of_remove,
    "prune": _of_prune,
    "sync": _of_sync,
    "reap": _of_reap,
}

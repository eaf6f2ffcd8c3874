"""3 Compose: what Compose makes of the release is what it makes of the original, but for what is listed."""

from __future__ import annotations

import csv
import json
import posixpath
import tempfile
from collections.abc import Iterator
from typing import Any

from kamal_dev.model import REDACTED
from tests.corpus import command, splices
from tests.corpus.reading import differences
from tests.corpus.replay import Replay, Verdict

OWN = ("kamal-dev.overlay.yaml", "manifest.json", ".env")
# Compose is kept from looking for a file above the release by an empty one of that name.
STOP = b"\nservices: {}\n"


def check(replay: Replay) -> Verdict:
    """Compare the two, the text of the files, and the files that travel."""
    if not replay.is_compose:
        return Verdict(note="no compose file")
    failure = replay.checkout.case.folder / "expected-compose.error.txt"
    if failure.exists() and (not replay.rendered.exit_code or replay.says_where(replay.rendered)):
        return Verdict(note=f"Compose refuses the original: {failure.read_text().strip()}")
    if replay.rendered.exit_code:
        return Verdict((replay.rendered.errors.strip(),))
    for answer, what in ((replay.before, "original"), (replay.after, "release")):
        if answer.exit_code:
            return Verdict((f"Compose refuses the {what}: {answer.errors.strip()}",))
    before, after = _expected(replay), replay.here(replay.after.json)
    problems = [*_additions(before["services"], after, replay), *_images(before["services"], replay)]
    _forget_unused(before)
    return Verdict((*problems, *differences(after, before), *splices.check(replay), *_travelling(replay)))


def _expected(replay: Replay) -> dict[str, Any]:
    """Return the original without what is nothing to a host: folders above, secrets of builds alone."""
    found: dict[str, Any] = replay.before.json
    above = {str(folder) for folder in replay.checkout.repository.parents} - {"/", tempfile.gettempdir()}
    for service in found["services"].values():
        kept = [volume for volume in service.get("volumes", []) if not _is_personal(volume, replay)]
        service["volumes"] = kept or None
        for volume in kept:
            if volume["type"] == "bind" and volume["source"] in above:
                volume["source"] = str(replay.checkout.repository.parent)
    used = {item["source"] for service in found["services"].values() for item in service.get("secrets", [])}
    found["secrets"] = {name: item for name, item in found.get("secrets", {}).items() if name in used} or None
    return found


def _is_personal(volume: dict[str, Any], replay: Replay) -> bool:
    """Whether it is mounted from the home folder of this machine, which is left out, and that is said."""
    source = str(volume.get("source", ""))
    is_own = volume["type"] == "bind" and (source == command.HOME or source.startswith(f"{command.HOME}/"))
    names = (source, source.replace(command.HOME, "~", 1))
    notices = replay.rendered.json["notices"]
    return is_own and any(f"`{name}` belongs to the user" in notice for name in names for notice in notices)


def _forget_unused(config: dict[str, Any]) -> None:
    """Take away the volumes that no service has any more: Compose does not print them."""
    volumes = [volume for service in config["services"].values() for volume in service.get("volumes") or []]
    used = {volume.get("source") for volume in volumes if volume["type"] == "volume"}
    config["volumes"] = {name: item for name, item in (config.get("volumes") or {}).items() if name in used} or None


def check_one(replay: Replay) -> Verdict:
    """Judge the one service that is made of an image or a Dockerfile."""
    if replay.is_compose:
        return Verdict(note="has compose files")
    if replay.rendered.exit_code:
        if replay.says_where(replay.rendered) and replay.checkout.expected("build-argv") is None:
            return Verdict(note="the reference builds nothing either")
        return Verdict((replay.rendered.errors.strip(),))
    if replay.after.exit_code:
        return Verdict((f"Compose refuses the release: {replay.after.errors.strip()}",))
    after = replay.here(replay.after.json)
    services: dict[str, Any] = {"devcontainer": {}}
    problems = [*_additions(services, after, replay), *_workspace(after, replay)]
    image = replay.rendered.json["services"]["devcontainer"]["image"]
    # Compose prints a dollar sign so that it could be read again.
    found = after["services"]["devcontainer"].get("image", "").replace("$$", "$")
    if found != image:
        problems.append(f"the image is {found}, not {image}")
    return Verdict(tuple(problems))


def _images(services: dict[str, Any], replay: Replay) -> Iterator[str]:
    """Put the image of a built service in the place of its build, in what is expected."""
    for name, said in replay.rendered.json["services"].items():
        service = services.get(name)
        if service is None:
            yield f"there is no service {name}"
        elif said["built"]:
            service.pop("build", None)
            service["image"] = said["image"]
            if service.get("pull_policy") == "build":
                service["pull_policy"] = "missing"


def _additions(services: dict[str, Any], after: dict[str, Any], replay: Replay) -> Iterator[str]:
    """Look for what the overlay adds, and take it away on both sides."""
    for service in after["services"].values():
        labels = {key: text for key, text in service.pop("labels", {}).items() if not key.startswith("kamal-dev.")}
        service["labels"] = labels or None
    for service in services.values():
        for port in service.get("ports") or []:
            # Without `expose`, a port that names no address is the host's own.
            port.setdefault("host_ip", "127.0.0.1")
    if replay.main not in services or replay.main not in after["services"]:
        yield f"there is no service {replay.main}"
        return
    before, added, said = services[replay.main], after["services"][replay.main], replay.configuration
    yield from _node(before, added, replay)
    yield from _environment(before, added, said)
    yield from _mounts(before, added, after, replay)
    if said.get("overrideCommand", not replay.is_compose):
        if not added.get("entrypoint"):
            yield "the command is not replaced"
        for service in (before, added):
            service["entrypoint"] = service["command"] = None
    for key, name in (("containerUser", "user"), ("init", "init"), ("privileged", "privileged")):
        if said.get(key):
            if added.get(name) != said[key]:
                yield f"{name} is {added.get(name)}, and {key} is {said[key]}"
            before[name] = added[name] = None
    for key, name in (("capAdd", "cap_add"), ("securityOpt", "security_opt")):
        if missing := set(said.get(key, [])) - set(added.get(name, [])):
            yield f"{name} has not {missing}"
        kept = [word for word in added.get(name, []) if word not in said.get(key, []) or word in before.get(name, [])]
        added[name], before[name] = kept or None, before.get(name) or None


def _node(before: dict[str, Any], added: dict[str, Any], replay: Replay) -> Iterator[str]:
    """Look for what tells the main service which stack it is; `render` knows no address."""
    wanted = {
        **{"DEV_STACK": replay.stack, "NODE_NAME": replay.stack, "NODE_INDEX": "1", "NODE_ADDRESS": "192.0.2.1"},
        "DEV_PEERS": "",
        "DEV_VERSION": replay.rendered.json["version"],
    }
    for name, text in wanted.items():
        found = added.get("environment", {}).pop(name, None)
        if found not in (None, before.get("environment", {}).pop(name, text)):
            yield f"environment.{name} is {found!r}, not {text!r}"


def _environment(before: dict[str, Any], added: dict[str, Any], said: dict[str, Any]) -> Iterator[str]:
    for key, value in (said.get("containerEnv") or {}).items():
        found = added.get("environment", {}).pop(key, "")
        text = value if isinstance(value, str) else json.dumps(value)
        if found.replace("$$", "$") != text and "${devcontainerId}" not in text:
            yield f"environment.{key} is {found!r}, not {text!r}"
        before.get("environment", {}).pop(key, None)
    for service in (before, added):
        service["environment"] = service.get("environment") or None


def _mounts(before: dict[str, Any], added: dict[str, Any], after: dict[str, Any], replay: Replay) -> Iterator[str]:
    for item in replay.configuration.get("mounts") or []:
        fields = _fields(item)
        target = posixpath.normpath(fields["target"])
        if fields.get("type") == "bind" and not fields.get("source"):
            if not any(f"the mount at `{target}` is empty" in notice for notice in replay.rendered.json["notices"]):
                yield f"no notice says that nothing is mounted at {target}"
            continue
        if _is_personal({"type": fields.get("type"), "source": fields.get("source")}, replay):
            continue
        found = next((volume for volume in added.get("volumes", []) if volume["target"] == target), None)
        if found is None or found["type"] != fields.get("type", "volume"):
            yield f"the mount of {target} is {found}"
        for service in (before, added):
            service["volumes"] = [volume for volume in service.get("volumes", []) if volume["target"] != target]
        if fields.get("type", "volume") == "volume" and fields.get("source") not in _named(replay):
            after.get("volumes", {}).pop(fields.get("source"), None)
    for service in (before, added):
        service["volumes"] = service.get("volumes") or None
    after["volumes"] = after.get("volumes") or None


def _named(replay: Replay) -> dict[str, Any]:
    return (replay.before.json.get("volumes") or {}) if replay.is_compose else {}


def _workspace(after: dict[str, Any], replay: Replay) -> Iterator[str]:
    mount = replay.checkout.expected("read-configuration")["workspace"].get("workspaceMount")
    if not mount:
        return
    fields = _fields(mount)
    target = posixpath.normpath(fields["target"])
    volumes = after["services"]["devcontainer"].get("volumes") or []
    # Compose prints a dollar sign so that it could be read again.
    found = next((volume for volume in volumes if volume["target"].replace("$$", "$") == target), {})
    source = posixpath.normpath(fields["source"]).replace("$", "$$")
    if (found.get("type"), found.get("source")) != (fields.get("type", "volume"), source):
        yield f"the workspace should be {mount}, and is {found}"


def _fields(mount: str | dict[str, str]) -> dict[str, str]:
    pairs = mount.items() if isinstance(mount, dict) else [w.partition("=")[::2] for w in next(csv.reader([mount]))]
    names = {"src": "source", "dst": "target", "destination": "target"}
    return {names.get(key, key): text for key, text in pairs}


def _travelling(replay: Replay) -> Iterator[str]:
    """Compare every file of the release that is not rewritten with the original, byte for byte."""
    rewritten = {posixpath.relpath(file, replay.checkout.repository) for file in replay.files}
    for name in replay.rendered.json["files"]:
        path = replay.checkout.repository / name.removeprefix("kamal-dev.files/")
        content = (replay.there / name).read_bytes()
        if name in (*OWN, *rewritten) or content.endswith(STOP):
            continue
        # What is written for people to look at has no secret in it.
        if content != path.read_bytes() and content != f"{REDACTED}\n".encode():
            yield f"{name} is not what it is in the repository"
    manifest = json.loads((replay.there / "manifest.json").read_text())
    if manifest["main"] != replay.main:
        yield f"the manifest's main service is {manifest['main']}"

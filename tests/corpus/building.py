"""2 Build: what `dev render` lists under `builds` is what the reference implementation would run."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.corpus.reading import differences
from tests.corpus.replay import Replay, Verdict

Words = dict[str, list[str]]

_VALUED = {
    *("-f", "-t", "--target", "--build-arg", "--build-context", "--cache-from", "--cache-to", "--platform", "--label"),
    *("--progress", "--secret", "--ssh", "--network", "--shm-size", "--add-host", "--ulimit", "--allow", "--builder"),
    *("--no-cache-filter", "--metadata-file", "--sbom", "--attest"),
}
# How an image is tagged, kept and shown is not what it is made of.
_ASIDE = ("-t", "--progress", "--push", "--load", "--provenance=false")
_ADDED = ("BUILDKIT_INLINE_CACHE=1", "_DEV_CONTAINERS_BASE_IMAGE=")
_STAGE = "dev_container_auto_added_stage_label"


def check(replay: Replay) -> Verdict:
    """Compare every build with the reference's argv, or with the `build` sections that Compose reports."""
    reference = replay.checkout.expected("build-argv")
    if reference is None and (replay.rendered.exit_code or not replay.is_compose):
        return _unbuildable(replay)
    if replay.rendered.exit_code:
        return Verdict((replay.rendered.errors.strip(),))
    builds = {name: build for build in replay.rendered.json["builds"] for name in build["services"]}
    named = [
        f"{name}: -t {build['argv'][build['argv'].index('-t') + 1]} is not {build['image']}"
        for name, build in builds.items()
        if build["argv"][build["argv"].index("-t") + 1] != build["image"]
    ]
    calls = reference["calls"] if reference else []
    return Verdict((*named, *(_compose if replay.is_compose else _single)(replay, builds, calls)))


def _unbuildable(replay: Replay) -> Verdict:
    """Judge a case that the reference cannot build: it may be refused with its place, or be rendered."""
    if replay.rendered.exit_code and not replay.says_where(replay.rendered):
        return Verdict((replay.rendered.errors.strip(),))
    failure = replay.checkout.expected("build-argv.error")
    reason = failure["result"]["message"].splitlines()[0] if failure else "nothing is recorded"
    return Verdict(note=f"the reference fails: {reason}")


def _single(replay: Replay, builds: dict[str, Any], calls: list[Any]) -> Iterator[str]:
    call = calls[0]
    reference = _words(call["argv"][2:])
    base = next(item.partition("=")[2] for item in reference["--build-arg"] if item.startswith(_ADDED[1]))
    if reference["context"][0].endswith("/empty-folder"):
        image = replay.rendered.json["services"]["devcontainer"]["image"]
        if builds:
            yield f"no build is expected, there are {list(builds)}"
        if replay.has_features:
            yield from _features_alone(replay, "devcontainer", base)
        elif image != base:
            yield f"the image should be {base} and is {image}"
        return
    if list(builds) != ["devcontainer"]:
        yield f"one build is expected, there are {list(builds)}"
        return
    ours = _words(builds["devcontainer"]["argv"][3:])
    wanted = replay.configuration.get("build", {}).get("target")
    reference["--target"] = [wanted] if wanted else []
    if wanted and base != wanted:
        yield f"the reference builds on {base}, not on the target {wanted}"
    yield from differences(_compared(ours), _compared(reference))
    yield from _not_in(Path(ours["-f"][0]), "\n".join(call["files"].values()))


def _started(replay: Replay, services: dict[str, Any]) -> set[str]:
    """Return what `up` starts: the services without a profile, or `runServices`; the main one; and what they need."""
    named = replay.configuration.get("runServices") or [
        name for name, item in services.items() if "profiles" not in item
    ]
    waiting, found = [*named, replay.main], set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += services[name].get("depends_on", {})
    return found


def _compose(replay: Replay, builds: dict[str, Any], calls: list[Any]) -> Iterator[str]:
    if replay.before.exit_code:
        if calls:
            yield f"Compose refuses the original: {replay.before.errors.strip()}"
        return
    services, secrets = replay.before.json["services"], replay.before.json.get("secrets", {})
    built = {name for name in _started(replay, services) if "build" in services[name]}
    if replay.has_features and replay.main not in built:
        yield from _features_alone(replay, replay.main, services[replay.main]["image"])
    shared = [builds[name]["argv"] for name in built & builds.keys()]
    made = {name for name, build in builds.items() if name in built or build["argv"] not in shared}
    if made != built:
        yield f"the built services are {sorted(built)}, not {sorted(made)}"
    for name in built & set(builds):
        ours, section = _words(builds[name]["argv"][3:]), services[name]["build"]
        links = _links(services, builds)
        ours["--build-context"] = [word for word in ours.get("--build-context", []) if word not in links]
        wanted = _of_section(section, services[name], builds)
        wanted["--secret"] = [_secret(item, secrets[item["source"]]) for item in section.get("secrets", [])]
        # Compose prints a dollar sign so that it could be read again.
        wanted = {flag: [value.replace("$$", "$") for value in values] for flag, values in wanted.items()}
        for line in differences(_compared(ours), _compared(wanted)):
            yield f"{name}: {line}"
        if ours["-f"] != wanted["-f"]:
            yield f"{name}: -f {ours['-f']} should be {wanted['-f']}"
        if name == replay.main and ours["-f"] != ["-"]:
            texts = [text for call in calls for path, text in call["files"].items() if "Dockerfile" in path]
            yield from _not_in(Path(ours["-f"][0]), "\n".join(texts)) if texts else ()


def _features_alone(replay: Replay, name: str, image: str) -> Iterator[str]:
    """Judge what only adds Features to an image; the reference's command lines are without Features."""
    for made in replay.rendered.json["features"]:
        if name in made["services"]:
            if made["dockerfile"] != f"FROM {image}\n" or not made["configuration"]["features"]:
                yield f"{name}: Features on {image} alone are expected, not {made}"
            return
    yield f"{name}: Features are to be installed on {image}, and nothing does it"


def _links(services: dict[str, Any], builds: dict[str, Any]) -> set[str]:
    """Return the contexts that stand for images of other builds under the names that the user gave them."""
    return {
        f"{services[name]['image']}=docker-image://{builds[name]['image']}"
        for name in builds
        if "image" in services[name]
    }


def _of_section(section: dict[str, Any], service: dict[str, Any], builds: dict[str, Any]) -> Words:
    """Return the words that a `build` section of `docker compose config` amounts to."""
    context = section["context"]
    dockerfile = section.get("dockerfile", "Dockerfile")
    if "://" not in context:
        dockerfile = posixpath.normpath(posixpath.join(context, dockerfile))
    platforms = section.get("platforms") or [text for text in [service.get("platform")] if text]
    found: Words = {
        "-f": ["-" if "dockerfile_inline" in section else dockerfile],
        "--target": [section["target"]] if section.get("target") else [],
        "--build-arg": _pairs(section.get("args")),
        "--build-context": [
            f"{name}={_context(text, builds)}" for name, text in section.get("additional_contexts", {}).items()
        ],
        "--platform": [",".join(platforms)] if platforms else [],
        "--label": _pairs(section.get("labels")),
        "--network": [section["network"]] if "network" in section else [],
        "context": [context],
    }
    found["--add-host"] = [item.replace("=", ":", 1) for item in section.get("extra_hosts", [])]
    for key, flag in (("cache_from", "--cache-from"), ("cache_to", "--cache-to"), ("ssh", "--ssh")):
        found[flag] = list(section.get(key, []))
    for key, flag in (("pull", "--pull"), ("no_cache", "--no-cache")):
        found[flag] = [""] if section.get(key) else []
    return found


def _secret(item: dict[str, str], definition: dict[str, str]) -> str:
    place = f"env={definition['environment']}" if "environment" in definition else f"src={definition['file']}"
    return f"id={item.get('target', item['source'])},{place}"


def _context(text: str, builds: dict[str, Any]) -> str:
    name = text.removeprefix("service:")
    return f"docker-image://{builds[name]['image']}" if name != text and name in builds else text


def _pairs(values: dict[str, Any] | None) -> list[str]:
    return [name if value is None else f"{name}={value}" for name, value in (values or {}).items()]


def _words(argv: list[str]) -> Words:
    found: Words = {flag: [] for flag in ("-f", "--build-arg")}
    rest = iter(argv)
    for word in rest:
        if word in _VALUED:
            found.setdefault(word, []).append(next(rest))
        elif word.startswith("-"):
            found.setdefault(word, []).append("")
        else:
            found.setdefault("context", []).append(word)
    return found


def _compared(words: Words) -> Words:
    """Return what two command lines must agree on, sorted."""
    found = {
        flag: sorted(value for value in values if not value.startswith((*_ADDED, "kamal-dev.")))
        for flag, values in words.items()
        if flag not in (*_ASIDE, "-f", "--shm-size")
    }
    return {flag: values for flag, values in sorted(found.items()) if values}


def _not_in(dockerfile: Path, generated: str) -> Iterator[str]:
    """Name the lines of a Dockerfile that the reference's generated one does not have."""
    known = {line.strip() for line in generated.splitlines()}
    for line in dockerfile.read_text().splitlines() if dockerfile.is_file() else ():
        text = line.strip()
        if text and not text.lower().startswith("from") and "syntax" not in text and text not in known:
            yield f"the reference's Dockerfile does not have `{text}` of {dockerfile}"

"""The builds of a project, each once and in build order. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kamal_dev.compose import build_section, dockerfile
from kamal_dev.compose.build_section import Findings, Ground
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Build, Features, Image, Location, Tree, familiar


def read(
    services: Mapping[str, Value], ground: Ground, features: Mapping[str, Features], wanted: Iterable[str]
) -> Findings:
    """Return the builds of the `wanted` services and those they need; equal builds become one with several services.

    Compose builds what it starts: a disabled profile with a missing source, or an image for a GPU, does not affect
    people who do not use it. A service with `features` has its own build, even if it only has an image. Raises
    ComposeError for what Compose refuses and for unsupported keys.
    """
    by_service: dict[str, Findings] = {}
    wrong: list[Problem] = []
    merged: dict[Build, Build] = {}
    for name, service in services.items():
        by_service[name] = Findings()
        try:
            build = _read(name, service, ground, by_service[name], features.get(name))
        except ComposeError as error:
            wrong += error.problems
            continue
        if build is None:
            continue
        key = replace(build, services=(), where=Location(""))
        known = merged.get(key)
        merged[key] = replace(known, services=(*known.services, name)) if known else build
    if wrong:
        raise ComposeError(wrong)
    linked = _linked(tuple(merged.values()), services, ground.tree)
    builds = _needed(tuple(_settled(build, services) for build in linked), wanted)
    findings = [by_service[name] for build in builds for name in build.services]
    return Findings(
        order(builds),
        [problem for each in findings for problem in each.problems],
        [notice for each in findings for notice in each.notices],
    )


def _needed(builds: tuple[Build, ...], wanted: Iterable[str]) -> tuple[Build, ...]:
    """Return the builds of the wanted services, and the builds that these use as a context."""
    by_service = {name: build for build in builds for name in build.services}
    waiting = [by_service[name] for name in wanted if name in by_service]
    needed: list[Build] = []
    while waiting:
        build = waiting.pop()
        if build not in needed:
            needed.append(build)
            waiting += [by_service[name] for name in _needs(build)]
    return tuple(build for build in builds if build in needed)


def _read(name: str, service: Value, ground: Ground, findings: Findings, features: Features | None) -> Build | None:
    if features:
        features = replace(features, container_user=features.container_user or service.string("user"))
    if "build" in service.items:
        return replace(build_section.read(name, service, ground, findings), features=features)
    image = service.at("image")
    if features is None or image is None:
        return None
    return Build(
        services=(name,),
        context="-",
        dockerfile_inline=f"FROM {image.text}\n",
        platforms=tuple(filter(None, [service.string("platform")])),
        where=features.where,
        features=features,
    )


def order(builds: tuple[Build, ...]) -> tuple[Build, ...]:
    """Return the builds so that each comes after the builds it uses as a context. Raises ComposeError for a cycle."""
    done: list[Build] = []
    waiting = list(builds)
    while waiting:
        made = {name for build in done for name in build.services}
        ready = [build for build in waiting if all(needed in made for needed in _needs(build))]
        if not ready:
            raise ComposeError(_circle(waiting))
        done += ready
        waiting = [build for build in waiting if build not in ready]
    return tuple(done)


def _circle(waiting: list[Build]) -> Problem:
    """Return the error for builds that need each other."""
    by_service = {name: build for build in waiting for name in build.services}
    path = [waiting[0]]
    while path[-1] not in path[:-1]:
        path.append(next(by_service[name] for name in _needs(path[-1]) if name in by_service))
    shown = " → ".join(f"`{build.services[0]}`" for build in path[path.index(path[-1]) :])
    where = path[-1].where
    return Problem(where.path, where.line, f"`{path[-1].services[0]}` is built from itself: {shown}")


def with_images(builds: tuple[Build, ...], images: Mapping[str, Image]) -> tuple[Build, ...]:
    """Return the builds with their images; a context `service:x` becomes the image of `x`."""
    return tuple(
        replace(
            build,
            image=images[build.services[0]],
            contexts=tuple((name, _context(text, images)) for name, text in build.contexts),
        )
        for build in builds
    )


def _context(text: str, images: Mapping[str, Image]) -> str:
    service = text.removeprefix("service:")
    return f"docker-image://{images[service]}" if service != text else text


def _needs(build: Build) -> tuple[str, ...]:
    return tuple(text[len("service:") :] for _, text in build.contexts if text.startswith("service:"))


def _linked(builds: tuple[Build, ...], services: Mapping[str, Value], tree: Tree) -> tuple[Build, ...]:
    """If a build starts from an image of another build, add that build as a context.

    The name that the user gave such an image does not exist, because every image is named after its version.
    """
    named = {
        services[name].string("image"): name
        for build in builds
        for name in build.services
        if "build" in services[name].items and services[name].string("image")
    }
    return tuple(_with_links(build, named, tree) for build in builds)


def _with_links(build: Build, named: Mapping[str, str], tree: Tree) -> Build:
    path = Path(build.dockerfile)
    text = build.dockerfile_inline
    if not text and build.dockerfile and path.is_absolute() and tree.kind(path) == "file":
        # An unreadable file is reported by the builder.
        with suppress(OSError):
            text = tree.read(path).decode("utf-8", "replace")
    bases = frozenset(map(familiar, dockerfile.images(text, dict(build.args))))
    others = {familiar(image): name for image, name in named.items() if name not in build.services}
    contexts = {key: _made_here(text, others) for key, text in build.contexts}
    for image, name in named.items():
        if name not in build.services and familiar(image) in bases:
            contexts.setdefault(image, f"service:{name}")
    return replace(build, contexts=tuple(contexts.items()))


def _made_here(context: str, services: Mapping[str, str]) -> str:
    """Return a context that is the image of another build as that service."""
    image = context.removeprefix("docker-image://")
    name = services.get(familiar(image)) if image != context else None
    return f"service:{name}" if name else context


def _settled(build: Build, services: Mapping[str, Value]) -> Build:
    """Return the build with `service:x` replaced by the service's image if `x` is not built."""
    contexts = []
    for name, text in build.contexts:
        service = text.removeprefix("service:")
        if service == text or "build" in (services[service].items if service in services else ()):
            contexts.append((name, text))
        elif service not in services:
            message = f"`{service}` in `additional_contexts` is not a service"
            raise ComposeError(Problem(build.where.path, build.where.line, message))
        else:
            contexts.append((name, f"docker-image://{services[service].string('image')}"))
    return replace(build, contexts=tuple(contexts))

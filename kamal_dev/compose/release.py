"""The text of every file of a release, which makes one version of a stack run. Writes none of them.

`docker compose ps` works in its folder without flags, because its `.env` names the files and the project. Nothing in
it depends on time or place, so the same input gives the same release.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kamal_dev.compose import (
    binds,
    dangers,
    env,
    layout,
    marks,
    mounts,
    named_volumes,
    networks,
    overlay,
    ports,
    profiles,
    release_files,
    restarts,
    rewrite,
    secret_text,
    service,
    sharing,
    stack_variables,
    swarm_stack,
)
from kamal_dev.compose import release_manifest as manifest
from kamal_dev.compose.additions import Additions
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.compose_project import ComposeProject
from kamal_dev.compose.mounts import Mounted
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.swarm_contents import SwarmInputs
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, NothingBuilt, Problem
from kamal_dev.model import REDACTED, File, Image, Location, Notice, Release, Secret, StartedService, Version
from kamal_dev.model.location import NOWHERE
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Rewritten:
    """Hold what is the same in the releases of all stacks: images, texts, and their meaning."""

    images: Mapping[str, Image]
    texts: Mapping[Path, str]
    reader: ComposeReader
    model: Value


def rewritten(project: ComposeProject, images: Mapping[str, Image]) -> Rewritten:
    """Replace builds by images; `images` has the image of every service with a build. Raises like `render`."""
    own = _images(project, images)
    return Rewritten(own, *_rewritten(project, own))


def render(
    project: ComposeProject,
    *,
    stack: str,
    version: Version,
    images: Mapping[str, Image],
    additions: Additions,
    variables: Mapping[str, str | Secret] | None = None,
    mask: bool = False,
    ready: Rewritten | None = None,
    index: int = 1,
    address: str = "",
    peers: str = "",
    notify: str = "",
    allotted: Mapping[str, int] = MappingProxyType({}),
    source: Mapping[str, Any] | None = None,
) -> Release:
    """Return the release of a version for one stack.

    `images` has the image of every service with a build. `variables` override the project's own values, of which only
    mentioned ones and secrets are written. `ready` saves work. `index` counts from 1; `address` is the host's, `peers`
    is `DEV_PEERS`; `allotted`: `Release.published`. Raises ComposeError, NothingBuilt without an image.
    """
    _check(project, additions)
    own, after = (ready := ready or rewritten(project, images)).images, ready.model
    carried = (*project.travels, *(mounted := _mounted(project, additions, stack)).travels)
    of_stack = stack_variables.values(stack, version, index, address, peers)
    values = _env_values(project, ready, additions, variables or {}, of_stack)
    marked = marks.of_services(additions.service, release_files.placed(carried, project), after, values)
    inputs = overlay.OverlayInputs(project, stack, own, additions, mounted, marked, allotted, of_stack)
    files = release_files.gathered(project, ready.texts, carried, laid := overlay.text(after, inputs))
    about = manifest.entries(project, stack, version, own, additions, mounted, source or {})
    of_swarm = _of_swarm(inputs, after, carried, values, laid, mask=mask)
    content = release_files.ReleaseContent(project, carried, values, of_stack, notify, of_swarm)
    digest = content.digest([*files, manifest.lasting(about, own)], stack, additions.service)
    files = release_files.masked(files, carried, project) if mask else files
    described, settings = manifest.file({**about, "digest": digest}), env.file(project, stack, values, mask=mask)
    files += [described, settings, *of_swarm, *release_files.notified(notify)]
    bare = Release(f"{version}-{digest[:8]}", stack, version, digest, tuple(sorted(files, key=lambda file: file.path)))
    return _with_services(_described(about, bare, own), inputs)


def _of_swarm(
    inputs: overlay.OverlayInputs,
    after: Value,
    carried: tuple[Travel, ...],
    values: Mapping[str, str | Secret],
    laid: str,
    *,
    mask: bool,
) -> tuple[File, ...]:
    """Return the files with which Swarm runs the stack; none for another engine."""
    project = inputs.project
    if not inputs.additions.engine.is_swarm:
        return ()
    # The values of `.env` win, as on a host; secrets stay names.
    variables = dict(inputs.variables)
    for name, value in values.items():
        if isinstance(value, str):
            variables[name] = value
        elif not secret_text.is_in(variables.get(name, "")):
            variables[name] = secret_text.marked(name, REDACTED)
    wanted = SwarmInputs(project, inputs.stack, after, inputs.additions, carried, variables, values, mask)
    return tuple(swarm_stack.files(wanted, laid))


def _with_services(release: Release, inputs: overlay.OverlayInputs) -> Release:
    """Return a release with the services that it starts, their volumes and published ports."""
    project, additions, variables = inputs.project, inputs.additions, inputs.variables
    started = tuple(service.started(project.services, additions.run_services))
    names = tuple(item.name for item in started)
    release = replace(
        release,
        started=tuple(_started(item, project, additions, variables) for item in started),
        # Those of Swarm are from other address pools.
        networks=networks.from_pools(project.model, () if additions.engine.is_swarm else names),
        volumes=named_volumes.of_stack(project.model, names, inputs.mounted),
    )
    named = [(item.name, value) for item in started for value in _values((item,), project)]
    if not additions.is_shared:
        values = (value for _, value in named)
        return replace(release, ports=ports.published(values, variables, is_exposed=additions.expose))
    published, taken = sharing.of_host(named, variables, inputs.allotted, is_exposed=additions.expose)
    return replace(release, published=published, ports=taken)


def _values(started: Iterable[service.Service], project: ComposeProject) -> Iterator[Value]:
    return (value for item in started if (value := project.model.at("services", item.name)) is not None)


def _started(
    item: service.Service, project: ComposeProject, additions: Additions, variables: Mapping[str, str]
) -> StartedService:
    """Return a service with the ports it listens on according to the compose files or devcontainer.json."""
    own = (port for value in _values((item,), project) for port in ports.named(value, variables))
    forwarded = (text.rpartition(":") for text in additions.forwarded)
    hosts = ("", "localhost", "127.0.0.1", item.name) if item.name == additions.main else (item.name,)
    further = (f"{port}/tcp" for host, _, port in forwarded if host in hosts)
    policies = (restarts.policy(item, value, additions.restart) for value in _values((item,), project))
    # Swarm has the policies in the definitions of services.
    policy = "" if additions.engine.is_swarm else "".join(policies)
    return StartedService(item.name, item.needs, tuple(dict.fromkeys((*own, *further))), policy)


def _env_values(
    project: ComposeProject,
    ready: Rewritten,
    additions: Additions,
    given: Mapping[str, str | Secret],
    of_stack: Mapping[str, str],
) -> dict[str, str | Secret]:
    """Return the values of `.env`, with the variables of the stack that the main service mentions."""
    main = ready.model.at("services", additions.main)
    wanted = tuple(stack_variables.environment(main, project, additions.main, additions.mentioned)) if main else ()
    return env.values(project, ready.reader, ready.model, additions, given, wanted, of_stack)


def _described(about: Mapping[str, Any], bare: Release, own: Mapping[str, Image]) -> Release:
    """Return a release with the description from its manifest."""
    return replace(
        bare,
        images=tuple(own.items()),
        workspace=tuple(about["workspace"]["folders"]),
        third_party=tuple(about["third_party"]),
        services=tuple(about["services"]),
    )


def notices(project: ComposeProject, additions: Additions) -> tuple[Notice, ...]:
    """Return notices about what differs on a host, including the additions' mounts."""
    mounted = _mounted(project, additions, "")
    listed = project.model.at("services")
    services = listed.items if listed is not None else {}
    risky = dangers.notices((*project.binds, *mounted.binds), services)
    warnings = [*stack_variables.notices(project, additions), *risky]
    warnings += () if additions.expose else ports.notices(services)
    warnings += sharing.notices(project.model) if additions.is_shared else ()
    warnings += swarm_stack.findings(project, additions).notices if additions.engine.is_swarm else ()
    all_notices = (*project.notices, *mounted.notices, *_left_out(project, additions), *warnings)
    return tuple(dict.fromkeys(all_notices))


def dangerous(project: ComposeProject, additions: Additions) -> tuple[Notice, ...]:
    """Return the settings that give containers power over their host, including the additions'."""
    mounted = _mounted(project, additions, "")
    listed = project.model.at("services")
    services = listed.items if listed is not None else {}
    risky = [*dangers.notices((*project.binds, *mounted.binds), services), *dangers.privileges(services)]
    if additions.privileged:
        risky.append(Notice(NOWHERE, f"`privileged` of devcontainer.json: {dangers.POWER}"))
    if added := (*additions.cap_add, *additions.security_opt):
        risky.append(Notice(NOWHERE, f"devcontainer.json: `{added[0]}` weakens the isolation of the container"))
    return tuple(dict.fromkeys(risky))


def all_binds(project: ComposeProject, additions: Additions) -> tuple[Bind, ...]:
    """Return what services mount from this machine, including the additions."""
    return (*project.binds, *_mounted(project, additions, "").binds)


def problems(project: ComposeProject, additions: Additions) -> tuple[Problem, ...]:
    """Return what must be fixed before a deploy."""
    shared = sharing.problems(project.model) if additions.is_shared else ()
    lost = swarm_stack.findings(project, additions).problems if additions.engine.is_swarm else ()
    return (*project.problems, *_mounted(project, additions, "").problems, *shared, *lost)


def _mounted(project: ComposeProject, additions: Additions, stack: str) -> Mounted:
    root = layout.workspace(stack)
    mounted = mounts.read(
        additions.mounts,
        additions.main,
        project.directory,
        project.reader,
        project.places,
        root,
        without_source=additions.without_source,
    )
    options = [(option, additions.security_where) for option in additions.security_opt]
    named = profiles.of_options(additions.main, options, project.directory, project.reader)
    return replace(
        mounted,
        travels=(*mounted.travels, *named.travels),
        notices=(*mounted.notices, *named.notices),
        problems=(*mounted.problems, *named.problems),
    )


def _left_out(project: ComposeProject, additions: Additions) -> Iterator[Notice]:
    """Yield a notice for each omitted mount of a service whose image does not contain the source."""
    built = {service.name for service in project.services if service.built_as}
    for bind in project.binds:
        if additions.without_source and binds.is_source(bind, project.repository) and bind.service not in built:
            yield Notice(bind.where, f"`{bind.target}` is left out of `{bind.service}`: `workspace.source` is `image`")


def _check(project: ComposeProject, additions: Additions) -> None:
    for name in (additions.main, *additions.run_services):
        project.service(name)
    if ":" in project.repository.name:
        message = f"a folder named `{project.repository.name}` cannot be mounted: a colon divides source and target"
        raise ComposeError(Problem(project.files[0].display, 0, message))


def _images(project: ComposeProject, images: Mapping[str, Image]) -> dict[str, Image]:
    """Return the image of every service that runs a built one; services that are not started are not built."""
    chosen = {}
    for item in project.services:
        if item.built_as and (item.name in project.started or item.built_as in images):
            if item.built_as not in images:
                raise NothingBuilt(f"there is no image for the service `{item.built_as}`", hint="run `dev build`")
            chosen[item.name] = images[item.built_as]
    return chosen


def _rewritten(project: ComposeProject, own: Mapping[str, Image]) -> tuple[dict[Path, str], ComposeReader, Value]:
    """Return the text of every compose file, and their new meaning, without the overlay.

    If splicing would change more than images and builds, the files stay unchanged.
    """
    images = {name: image.pinned for name, image in own.items() if project.service(name).has_build}
    before = {file.path: file.text for file in project.files}
    after = {
        file.path: rewrite.spliced(file.text, file.display, images) if file.role == "top" else file.text
        for file in project.files
    }
    try:
        reader, model = _read_again(project, after)
    except ComposeError:
        # Two equal definitions may have become different.
        return before, project.reader, project.model
    if _beside_images(model) != _beside_images(project.model):
        return before, project.reader, project.model
    return after, reader, model


def _read_again(project: ComposeProject, texts: Mapping[Path, str]) -> tuple[ComposeReader, Value]:
    before = project.reader
    reader = ComposeReader(
        before.tree, project.repository, texts, allow_outside=before.allow_outside, personal=before.personal
    )
    tops = tuple(file.path for file in project.top_files)
    for path in tops:
        reader.file(path, "top", Location(""))
    return reader, reader.read(tops, project.scope)


def _beside_images(model: Value) -> dict[str, Any]:
    plain: dict[str, Any] = model.plain()
    services = {
        name: {key: item for key, item in entries.items() if key not in rewrite.CHANGED}
        for name, entries in plain.get("services", {}).items()
    }
    return {**plain, "services": services}

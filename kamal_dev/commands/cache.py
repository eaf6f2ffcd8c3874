"""Options for buildx's build cache. Builds nothing."""

from __future__ import annotations

from kamal_dev.config import Cache
from kamal_dev.model import Image
from kamal_dev.values import dataclass

TAG = "buildcache"


@dataclass(frozen=True)
class Caching:
    """Hold the values of `--cache-from` and `--cache-to`, and an additional tag to read inline caches from."""

    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    tag: Image | None = None


def caching(cache: Cache | None, image: Image) -> Caching:
    """Return how `cache` of config/dev.yml is used for one image.

    An inline cache is part of the image, so it needs a tag that does not change with the version. Source: Docker
    Buildx, cache storage backends.
    """
    if cache is None:
        return Caching()
    stable = Image(image.server, image.repository, TAG)
    options = dict(cache.options)
    if cache.type == "inline":
        return Caching((_line("registry", {"ref": stable.reference}),), ("type=inline",), stable)
    if cache.type == "registry":
        options = {"ref": stable.reference, "mode": "max"} | options
        return Caching((_line("registry", {"ref": options["ref"]}),), (_line("registry", options),))
    if cache.type == "local":
        folder = options.pop("src", options.get("dest", ".buildcache"))
        return Caching((_line("local", {"src": folder}),), (_line("local", {"dest": folder, "mode": "max"} | options),))
    shared = {name: value for name, value in options.items() if name != "mode"}
    return Caching((_line("gha", shared),), (_line("gha", {"mode": "max"} | options),))


def _line(kind: str, options: dict[str, str]) -> str:
    return ",".join([f"type={kind}", *(f"{name}={value}" for name, value in options.items())])

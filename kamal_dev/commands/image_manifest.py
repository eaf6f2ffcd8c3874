"""Parse manifests of images in a registry. Does no I/O. Source: OCI image specification."""

from __future__ import annotations

import json
from typing import Any

Layer = tuple[str, int]  # the digest of the unpacked layer, and the bytes to pull


def part(text: str, architecture: str) -> str:
    """Return the digest of the manifest for one platform (`amd64`), empty if the text is not an index or lacks it."""
    for item in _read(text).get("manifests") or ():
        platform = item.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
            return str(item.get("digest", ""))
    return ""


def platforms(text: str) -> frozenset[str]:
    """Return the platforms of an index, as `linux/amd64`; empty for any other text.

    An index has descriptions of images, such as provenance, under the platform `unknown`.
    """
    listed = (item.get("platform") or {} for item in _read(text).get("manifests") or ())
    names = (f"{platform.get('os')}/{platform.get('architecture')}" for platform in listed)
    return frozenset(name for name in names if "unknown" not in name and "None" not in name)


def configuration(text: str) -> str:
    """Return the digest of the image's configuration, empty if the text is not a manifest."""
    return str((_read(text).get("config") or {}).get("digest", ""))


def layers(text: str, configuration: str, architecture: str) -> tuple[Layer, ...]:
    """Return the layers of a manifest; empty if the two texts do not belong together.

    `configuration` is that of the image, or per platform by `os/architecture`, as buildx prints it.
    """
    sizes = [int(layer.get("size", 0)) for layer in _read(text).get("layers") or ()]
    fields = _read(configuration)
    fields = next((value for key, value in fields.items() if key.startswith(f"linux/{architecture}")), fields)
    digests = (fields.get("rootfs") or {}).get("diff_ids") or () if isinstance(fields, dict) else ()
    return tuple(zip(map(str, digests), sizes, strict=True)) if len(digests) == len(sizes) else ()


def _read(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

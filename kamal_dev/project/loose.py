"""Decide whether compressing unpacked git objects is worth the time. Reads a few bytes of the large objects."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LARGE = 1 << 20  # bytes of an object that are sampled
MUCH = 32 << 20  # bytes that take longer to compress than to send
SAMPLE = 1 << 16
SHRINKS = 1.25  # minimum ratio of an object's size to its stored size


def is_compressible(*stores: Path) -> bool:
    """Return whether there is little incompressible data, such as pictures and archives."""
    return sum(size for store in stores for path, size in _large(store) if not _shrinks(path)) < MUCH


def _large(store: Path) -> Iterator[tuple[Path, int]]:
    for folder in store.glob("[0-9a-f][0-9a-f]"):
        # git may be packing them in the background, as it does after a large commit.
        with suppress(FileNotFoundError), os.scandir(folder) as files:
            yield from ((Path(one.path), size) for one in files if (size := one.stat().st_size) >= LARGE)


def _shrinks(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            stored = file.read(SAMPLE)
        return len(zlib.decompressobj().decompress(stored)) > SHRINKS * len(stored)
    except (FileNotFoundError, zlib.error):
        return True

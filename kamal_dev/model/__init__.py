"""Frozen values used by all layers. Does no I/O."""

from __future__ import annotations

from kamal_dev.model.image import Build, BuildSecret, Features, Image, ImageConfig, familiar
from kamal_dev.model.lifetime import Lifetime
from kamal_dev.model.location import Explanation, Location, Notice
from kamal_dev.model.secret import REDACTED, Secret
from kamal_dev.model.stack import (
    Container,
    File,
    Host,
    Release,
    Result,
    StartedService,
    Step,
    Tree,
    Version,
    short,
    stack_name,
)

__all__ = [
    "REDACTED",
    "Build",
    "BuildSecret",
    "Container",
    "Explanation",
    "Features",
    "File",
    "Host",
    "Image",
    "ImageConfig",
    "Lifetime",
    "Location",
    "Notice",
    "Release",
    "Result",
    "Secret",
    "StartedService",
    "Step",
    "Tree",
    "Version",
    "familiar",
    "short",
    "stack_name",
]

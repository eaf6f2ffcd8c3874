"""devcontainer.json → Devcontainer: JSONC, variables, typed properties; text and values in and out."""

from kamal_dev.devcontainer import ports
from kamal_dev.devcontainer.build import build
from kamal_dev.devcontainer.features import features, without_features
from kamal_dev.devcontainer.find import compose_files, find, first_places, is_default
from kamal_dev.devcontainer.load import load
from kamal_dev.devcontainer.metadata import LABEL, entries, merged
from kamal_dev.devcontainer.mounts import definition, volume
from kamal_dev.devcontainer.private import Private
from kamal_dev.devcontainer.single import as_compose
from kamal_dev.devcontainer.values import SERVICE, Devcontainer, Mount, Translation
from kamal_dev.devcontainer.variables import devcontainer_id

__all__ = [
    "LABEL",
    "SERVICE",
    "Devcontainer",
    "Mount",
    "Private",
    "Translation",
    "as_compose",
    "build",
    "compose_files",
    "definition",
    "devcontainer_id",
    "entries",
    "features",
    "find",
    "first_places",
    "is_default",
    "load",
    "merged",
    "ports",
    "volume",
    "without_features",
]

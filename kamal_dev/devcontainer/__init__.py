"""Turn devcontainer.json into a Devcontainer: JSONC, variables, typed properties. Does no I/O."""

from kamal_dev.devcontainer import forwarding
from kamal_dev.devcontainer.build_paths import build
from kamal_dev.devcontainer.configuration import SERVICE, Devcontainer, Mount, Translation
from kamal_dev.devcontainer.feature_list import features, without_features
from kamal_dev.devcontainer.find import compose_files, find, first_places, is_default
from kamal_dev.devcontainer.image_label import LABEL, entries, merged
from kamal_dev.devcontainer.load import load
from kamal_dev.devcontainer.mount_options import definition, volume
from kamal_dev.devcontainer.private_variables import Private
from kamal_dev.devcontainer.single import as_compose
from kamal_dev.devcontainer.substitution import devcontainer_id

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
    "forwarding",
    "is_default",
    "load",
    "merged",
    "volume",
    "without_features",
]

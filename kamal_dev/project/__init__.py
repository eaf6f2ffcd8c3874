"""Read the working tree, git and the environment once, into a Project. Nothing else reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kamal_dev import compose, config, devcontainer
from kamal_dev.errors import ConfigError, CredentialsMissing, Problem, UsageError
from kamal_dev.model import Image, Secret, Step, Version
from kamal_dev.project.source import Source
from kamal_dev.project.source import read as read_source
from kamal_dev.project.tree import WorkingTree
from kamal_dev.shell import Shell

CONFIG_FILE = "config/dev.yml"
PRIVATE = ".kamal/local"


@dataclass(frozen=True)
class Project:
    """Hold everything that a verb works on, read once.

    `root` is the workspace folder (where config/dev.yml or .devcontainer is);
    `compose` is the project of a compose devcontainer, or the one made from an
    image or a Dockerfile. All paths are absolute.
    """

    root: Path
    source: Source
    config: config.Config
    devcontainer: devcontainer.Devcontainer
    compose: compose.ComposeProject
    version: Version
    secrets_file: config.SecretsFile
    environment: Mapping[str, str] = field(repr=False)

"""Read the working tree, git and the environment once, into a Project. Nothing else reads them."""

from kamal_dev.project.loading import CONFIG_FILE, load
from kamal_dev.project.project import PRIVATE, Project, private

__all__ = ["CONFIG_FILE", "PRIVATE", "Project", "load", "private"]

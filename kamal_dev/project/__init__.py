"""Read the working tree, git and the environment once, into a Project. No other code reads them."""

from kamal_dev.project.loading import CONFIG_FILE, load, local_path
from kamal_dev.project.local_folder import PRIVATE, private, refuse_links, refuse_way_out
from kamal_dev.project.project import HERE, Home, Project, SourceOrigin

__all__ = [
    "CONFIG_FILE",
    "HERE",
    "PRIVATE",
    "Home",
    "Project",
    "SourceOrigin",
    "load",
    "local_path",
    "private",
    "refuse_links",
    "refuse_way_out",
]

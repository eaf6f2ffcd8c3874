"""Turn compose files into builds, files to send, the rewritten text and the overlay. Does no I/O itself."""

from kamal_dev.compose.additions import Additions, additions
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.build_section import is_outside
from kamal_dev.compose.builds import order, with_images
from kamal_dev.compose.compose_project import ComposeProject, load, load_text
from kamal_dev.compose.dangers import POWER
from kamal_dev.compose.interpolate import secrets
from kamal_dev.compose.layout import workspace
from kamal_dev.compose.parts import of_services as parts
from kamal_dev.compose.reading import ComposeFile
from kamal_dev.compose.release import Rewritten, all_binds, dangerous, notices, problems, render, rewritten
from kamal_dev.compose.secret_text import names as secrets_in
from kamal_dev.compose.secret_text import plain as unmarked
from kamal_dev.compose.service import Service
from kamal_dev.compose.stack_variables import CLAIMED
from kamal_dev.compose.stack_variables import NAMES as NODE_NAMES
from kamal_dev.compose.stack_variables import values as node_values
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.variables import not_taken

__all__ = [
    "CLAIMED",
    "NODE_NAMES",
    "POWER",
    "Additions",
    "Bind",
    "ComposeFile",
    "ComposeProject",
    "Rewritten",
    "Service",
    "Travel",
    "additions",
    "all_binds",
    "dangerous",
    "is_outside",
    "load",
    "load_text",
    "node_values",
    "not_taken",
    "notices",
    "order",
    "parts",
    "problems",
    "render",
    "rewritten",
    "secrets",
    "secrets_in",
    "unmarked",
    "with_images",
    "workspace",
]

"""Run a repository's devcontainer as isolated stacks on remote hosts."""

__version__ = "0.4.0"

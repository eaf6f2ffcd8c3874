"""Replay devcontainers that people really have through the command line: `python -m tests.corpus [FOLDER]`."""

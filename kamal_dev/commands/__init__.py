"""Build command lines for docker, buildx, git and the host scripts from values. Runs nothing."""

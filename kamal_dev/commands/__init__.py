"""Values in, argv out: command lines for docker, buildx, git and the host scripts. Runs nothing."""

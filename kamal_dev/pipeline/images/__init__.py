"""Images on this machine and in the registry: what to build, building, pushing, layers, the registry tunnel."""

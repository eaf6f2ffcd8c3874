"""This machine and the registry: what is built, building, pushing, layers, the registry tunnel."""

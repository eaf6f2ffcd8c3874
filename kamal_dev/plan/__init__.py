"""Observations, project and images in, a plan out: what will be done, and why. Pure.

Nothing here opens files, asks the time or the environment, or starts a process. A plan is a value: printed by
`dev plan`, shown and carried out by `dev deploy`.
"""

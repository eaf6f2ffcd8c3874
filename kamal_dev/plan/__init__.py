"""Turn observations, project and images into a plan: what will be done, and why. Pure.

Nothing here opens files, asks for the time or the environment, or starts a process. A plan is a value: printed by
`dev plan`, shown and carried out by `dev deploy`.
"""

"""What every verb has: the run, names, the report, the record of deploys, hooks."""

"""What all verbs share: the run, names, the report, the record of deploys, hooks."""

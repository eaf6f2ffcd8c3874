"""The kinds of faults that were found once, each as a specification that a stranger can read."""

"""`dev deploy` beside a hand-written script, on the same hosts, in one run: `python -m tests.benchmarks`."""

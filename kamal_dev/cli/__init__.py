"""Flags in, one pipeline call, exit code out; the only place that prints errors and exits."""

"""Run `python -m kamal_dev` as `dev`."""

from kamal_dev.cli import main

main()

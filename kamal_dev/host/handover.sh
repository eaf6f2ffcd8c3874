#!/bin/sh
# Give a workspace to who works in its container: handover.sh WORKSPACE OWNER
#
# Runs where nothing but the workspace can be reached (see jail.sh), as root: containers may be at work in it already.
chown -hR "$2" "$1"

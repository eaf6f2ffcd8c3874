#!/bin/sh
# Make the user of the main container the owner of the workspace: handover.sh WORKSPACE OWNER
#
# Runs where nothing but the workspace can be reached (see jail.sh), as root: containers may already be using it.
chown -hR "$2" "$1"

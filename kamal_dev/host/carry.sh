#!/bin/sh
# Print the records of a stack for another host, as a compressed tar: carry.sh STACK
#
# Its releases, what was sent to its workspace, which lifecycle commands have run, its lifetime and its logs. Volumes and the
# workspace are packed by backup.sh. Without a release it prints a `result` instead, and ends with 1.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"

use_stack "$1"
release=$(current_release)
[ -n "$release" ] || give_up carry 'the stack has no release'
cd "$home" || give_up carry "could not read $home"
printf '%s\n' "$release" >"$here/current"
tend_lifetime carry true
set -- -C "$here" current
# Its files go with the workspace.
[ ! -d "$home/backups" ] || { mkdir "$here/backups" && set -- "$@" backups; }
set -- "$@" -C "$home"
for each in releases source lifecycle lifetime stopped unowned audit.log alerts.log; do [ ! -e "$each" ] || set -- "$@" "$each"; done
tar -cf - --exclude='releases/.new.*' "$@" | gzip -1

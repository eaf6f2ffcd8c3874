#!/bin/sh
# Stop a stack that has no release to roll back to; its containers are kept for inspection: stop.sh STACK
#
# Payload: meta/performer. Events: see switch.sh.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"

use_stack "$1"
verb=stop release='' version=''

begin
release=$shown
version=$(known "$release" version)
phase stop
cd "$home/current" || conclude true untouched ''
look_at_known
quickly engine_stop 120 >"$here/stop.log" 2>&1 ||
  conclude false untouched "$(last_lines "$here/stop.log" 2)"
show_stopped
conclude true stopped ''

#!/bin/sh
# Make an earlier release of a stack the current one again, or change nothing: rollback.sh STACK RELEASE TIMEOUT WINDOW
#
# TIMEOUT and WINDOW are milliseconds. Images that are gone are pulled before anything stops; volumes and the workspace
# are not touched. Payload: meta/performer, registry/. Events: see switch.sh.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"

use_stack "$1"
verb=rollback release=$2 timeout=$3 window_wanted=$4
case $release in '' | .* | *[!A-Za-z0-9._-]*) give_up arguments "\`$release\` is not a valid release name" ;; esac
version=$(known "$release" version) listed=$releases/$release/.kamal-dev/images

begin
[ -s "$releases/$release/.kamal-dev/digest" ] || conclude false untouched "release \`$release\` not found on this host"
if is_running "$release"; then
  report_containers
  conclude true same ''
fi
make_workspace
pull
retag "$release"
switch

#!/bin/sh
# Carry out the end of the lifetime of a stack, if it is over: expire.sh STACK
#
# Stops the stack; if its lifetime says `then remove`, it is then removed, unless its workspace has work that exists nowhere else.
# Run by watcher.sh. Payload: meta/performer, meta/restarts. Events: those of
# operate.sh, then those of remove.sh.
#   ~/.kamal-dev/.watcher/gone/<stack>/current/kamal-dev.notify   whom to tell that it was removed
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"

# keep_addresses: after the removal nothing on the host would say whom to tell.
keep_addresses() {
  gone=$base/.watcher/gone/$stack
  mkdir -p "$gone/current" && echo "$life_ended" >"$gone/ended"
  [ ! -f "$home/current/kamal-dev.notify" ] || cp "$home/current/kamal-dev.notify" "$gone/current/"
}

use_stack "$1"
echo yes >"$here/meta/ends"
sh "$here/operate.sh" "$stack" stop 600000 0 || exit
read_lifetime && [ -n "$life_ended" ] || exit 0
[ "$life_then" = remove ] || { wake_watcher "wake $stack"; exit 0; }
! has_watcher || keep_addresses
if sh "$here/remove.sh" "$stack" unless-work; then wake_watcher "gone $stack"
else
  rm -rf "$base/.watcher/gone/$stack"
  wake_watcher "wake $stack"
fi

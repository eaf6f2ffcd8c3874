#!/bin/sh
# Replace volumes and the workspace of a stack by what stage.sh has unpacked: restore.sh STACK TIMEOUT WINDOW PART...
#
# The services that use them are stopped, and started again. What was there is kept until they are up, and is moved back if they
# do not come up. TIMEOUT and WINDOW are milliseconds. Payload: meta/performer, meta/restarts.
# Events and result: see switch.sh; `state` is replaced; reverted if it failed, and all is as before; broken if that failed, too;
# kept if nothing was changed; unfinished if a lifecycle command failed.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"
# shellcheck source-path=SCRIPTDIR source=services.sh
. "$here/services.sh"
# shellcheck source-path=SCRIPTDIR source=parts.sh
. "$here/parts.sh"

# write_swaps: write $here/swaps for swap.sh, and set mounts. Folders of this host are seen at their own paths under one mount, so
# that moving is renaming; what the engine mounts has a path of its own, and is copied.
write_swaps() {
  holder=$(awk -v name="$staged" '$2 == name { print $4 }' "$here/volumes")
  mounts="--volume $home:$home"
  [ -z "$holder" ] || { root=${holder%/*/*} && mounts="$mounts --volume $root:$root"; }
  while read -r part name kind folder; do
    new=$holder/$part old=$holder/old/${part#volumes/}
    case $part:$kind in
      workspace:*) new=$staged_folder/new old=$staged_folder/old ;;
      *:plain) ;;
      *) folder=/mounted/${part#volumes/} && mounts="$mounts --volume $name:$folder" ;;
    esac
    echo "$folder $new $old"
  done <"$here/parts" >"$here/swaps"
}

# revert REASON: return to what was there, and end.
revert() {
  revert_why=$1
  phase revert
  # shellcheck disable=SC2086 # services are words
  [ -z "$services" ] || { note_stopped $services && compose_here engine_stop "$up_within" -- $services; }
  if ! swap back; then
    # The record stays: the next script that changes the stack tries it again.
    trap clean_up EXIT
    conclude false broken "$revert_why; the old data is in $(cut -d ' ' -f3 "$here/swaps" | paste -sd ' ' -): $(last_lines "$here/swap.err" 1)"
  fi
  remove_staged
  if start_users; then why=''; fi
  end_underway
  [ -z "$why" ] || conclude false broken "$revert_why; after the old data was moved back, $why"
  conclude false reverted "$revert_why"
}

# undo: the same where this script is ended.
# shellcheck disable=SC2317 # called by the trap
undo() { [ ! -f "$home/underway" ] || return_data >/dev/null 2>&1; }

use_stack "$1"
verb=restore timeout=$2 window_wanted=$3 services='' why=''
shift 3
begin_with_release
list_parts || conclude false kept "$engine_trouble"
choose_parts "$@" || conclude false kept "$why"
name_staged
write_swaps
find_users
trap 'undo; clean_up' EXIT
keep_underway restore || { end_underway; conclude false kept "could not write to $home: $(why_not_written "$home")"; }
stop_users || { why=$compose_why; start_users; remove_staged; end_underway; conclude false kept "could not stop services: $(last_lines "$here/up.log" 2)"; }
phase replace
swap forth || revert "could not replace the data: $(last_lines "$here/swap.err" 2)"
start_users || revert "$why with the restored data"
keep_underway restored || end_underway
remove_staged
end_underway
[ -z "$services" ] || finish_lifecycle || conclude false unfinished "$lifecycle_why"
conclude true replaced ''

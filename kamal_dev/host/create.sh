#!/bin/sh
# Create the containers of a stack that is moved to this host, without starting them: create.sh STACK TIMEOUT OLD NEW [PORT]...
#
# OLD and NEW are the addresses of the host that it leaves and of this one. PORT is `old:new:target/protocol` for each port of
# the host that has another number here. Everything that could fail here does so while the stack still runs where it was: an
# image that is missing, a name or a network that cannot be had. TIMEOUT is in milliseconds. Payload: meta/performer, meta/watcher.
# Events and result: see switch.sh; `state` is created, or kept.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=switch.sh
. "$here/switch.sh"
# shellcheck source-path=SCRIPTDIR source=services.sh
. "$here/services.sh"

# adapt OLD NEW [PORT]...: write the address and the ports of this host into the releases. A port is replaced by a mark first, because
# two ports may have exchanged their numbers.
adapt() {
  printf '%s\n' "s/^NODE_ADDRESS=\\([\"']\\{0,1\\}\\)$(printf %s "$1" | sed 's/\./\\./g')\\([\"']\\{0,1\\}\\)\$/NODE_ADDRESS=\\1$2\\2/" >"$here/address"
  shift 2
  : >"$here/numbers"
  for port; do
    old=${port%%:*} target=${port#*:*:}
    new=${port#*:} new=${new%%:*}
    printf '%s\n' "s,:$old:$target,:@$new:$target,g" >>"$here/numbers"
  done
  printf '%s\n' 's,:@\([0-9]*:\),:\1,g' >>"$here/numbers"
  for folder in "$releases"/*/; do
    rewrite "$here/address" "$folder.env"
    [ $# = 0 ] || rewrite "$here/numbers" "${folder}kamal-dev.overlay.yaml"
  done
}

# rewrite SCRIPT FILE: with sed, and with its mode.
rewrite() {
  [ -f "$2" ] || return 0
  sed -f "$1" "$2" >"$here/rewritten" && cat "$here/rewritten" >"$2"
}

# keep_memory: what has run in the main container of the other host has run in the one here.
keep_memory() {
  main_id=$(main_container --all)
  [ -n "$main_id" ] || return 0
  for old in "$home"/lifecycle/*/; do
    [ ! -d "$old" ] || mv -T "${old%/}" "$home/lifecycle/$main_id" 2>/dev/null
  done
  return 0
}

# keep_good: record the configuration that the containers have here, so that they are not taken for changed ones.
keep_good() {
  [ -s "$releases/$release/.kamal-dev/good" ] || return 0
  printf '%s\n' "$found" | awk -F'|' 'FNR == NR { made[$11] = $18; next } { split($0, words, " ") }
    words[3] in made { print words[1], words[2], words[3], words[4], words[5], made[words[3]]; next } { print }' \
    - "$releases/$release/.kamal-dev/good" >"$here/good" && keep_file "$here/good" "$releases/$release/.kamal-dev/good"
}

use_stack "$1"
verb=move timeout=$2 window_wanted=0 listed=/dev/null
old_address=$3 new_address=$4
shift 4
begin_with_release
[ -f "$home/arriving" ] || conclude false kept 'another command has undone the move'
adapt "$old_address" "$new_address" "$@"
make_workspace
# shellcheck disable=SC2046 # flags and services are words
compose_here engine_up "$up_within" --no-start $(scales "$release") -- $(known "$release" services) || conclude false kept "$compose_why"
cd /
look_at_stack || conclude false kept "$engine_trouble"
keep_memory
keep_good
# shellcheck source-path=SCRIPTDIR source=unit.sh
[ ! -s "$here/meta/watcher" ] || { . "$here/unit.sh" && ensure_watcher && [ -n "$unit_installed" ] && log 'Installed the watcher'; }
conclude true created ''

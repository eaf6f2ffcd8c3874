#!/bin/sh
# List what a stack has: its parts, images and services: inventory.sh STACK
#
# Events: a `part` {name, bytes, plain, services} for each part (see parts.sh), with the space that it takes, and for a volume the
# services that mount it; `inventory` {release, version, good,
# images, services, running, ports}, where `images` are those of the release, `services` all that it starts, `running` those that
# run now and `ports` as in `facts`; then `result` {ok, reason}. Changes nothing.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=engine_root.sh
. "$here/engine_root.sh"
# shellcheck source-path=SCRIPTDIR source=parts.sh
. "$here/parts.sh"

# measure: print `bytes path` for each part.
measure() {
  flags='' paths=''
  while read -r part name _ folder; do
    case $part in workspace | backups) name=$folder ;; esac
    flags="$flags --volume $name:/measured/$part:ro" paths="$paths /measured/$part"
  done <"$here/parts"
  # shellcheck disable=SC2086 # paths are words
  [ -z "$paths" ] || in_mounts "$flags" du -sk $paths 2>/dev/null | awk '{ printf "%.0f %s\n", $1 * 1024, $2 }'
}

# describe_part BYTES PART
describe_part() {
  part_row=$(awk -v part="$2" '$1 == part { print $2, $3; exit }' "$here/parts")
  users='' is_plain=false
  [ "${part_row#* }" != plain ] || is_plain=true
  case $2 in volumes/*) users=$(engine_users "${part_row% *}" </dev/null | sort -u) ;; esac
  emit part name "$2" bytes: "$1" plain: "$is_plain" services: "$(printf '%s\n' "$users" | words)"
}

words() {
  # shellcheck disable=SC2046 # names are words
  json_list $(cat)
}

use_stack "$1"
[ -n "$(current_release)" ] || give_up inventory 'the stack has no release' missing
! is_copying "$home" || give_up inventory "$(why_not_copied)" missing
require_engine inventory
look_at_stack || give_up inventory "$engine_trouble" unknown
list_moved_parts || give_up inventory "$engine_trouble" unknown
measure | while read -r bytes path; do describe_part "$bytes" "${path#/measured/}"; done
release=$(current_release)
if is_good "$release"; then good=true; else good=false; fi
emit inventory release "$release" version "$(known "$release" version)" good: "$good" images: "$(known "$release" images | words)" \
  services: "$(known "$release" started | cut -d'|' -f1 | words)" ports: "$(allotted)" \
  running: "$(printf '%s\n' "$found" | awk -F'|' '$3 == "running" || $3 == "paused" || $3 == "restarting" { print $2 }' | sort -u | words)"
emit result ok: true phase inventory

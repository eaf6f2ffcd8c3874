#!/bin/sh
# Print the compose files of the current release of a stack, and the sessions in its containers: contents.sh STACK
#
# Events: a `file` {path, content} for each compose file that the release names, and its overlay; an `inside` {service, inside}
# for each container with sessions; then `result`. Never prints `.env` or other files. Changes nothing.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=replace.sh
. "$here/replace.sh"

# named_files: print the compose files of the release in the folder here, as its manifest lists them, a line each.
named_files() { awk '/^  "files": \[/ { is_in = 1; next } is_in && /^  \]/ { exit } is_in { gsub(/^ *"|",? *$/, ""); print }' manifest.json; }

tell_files() {
  cd "$releases/$1" 2>/dev/null || return 0
  named_files | while IFS= read -r path; do
    [ ! -f "$path" ] || awk "$json_awk"'
      BEGIN { prepare(); path = ARGV[1]; ARGV[1] = "./" path }
      { text = text $0 "\n" }
      END { print "{\"type\":\"file\",\"path\":" quote(path) ",\"content\":" quote(text) "}" }' "$path"
  done
}

tell_inside() {
  look_at_stack || give_up contents "$engine_trouble" unknown
  printf '%s\n' "$found" | while IFS='|' read -r id service state _; do
    [ "$state" = running ] || continue
    inside=$(who_is_in "$id")
    [ "$inside" = '[]' ] || emit inside service "$service" inside: "$inside"
  done
}

use_stack "$1"
tell_files "$(current_release)"
! has_engine || tell_inside
emit result ok: true phase contents

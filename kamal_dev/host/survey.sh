#!/bin/sh
# Report which stacks are on this host, and the facts of those that are asked for: survey.sh
#
# Payload: a file meta/asked.N for each stack that is asked for, with the arguments of facts.sh, one per line; with
# meta/inside, those of contents.sh follow.
# Events: `survey` {stacks, named, memory, cpus, disk_free}, where `named` has `STACK SERVICE` for each named stack; for each stack asked for that is here one `about` {stack}, followed by the
# events of facts.sh and contents.sh; then `result`. Changes nothing.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"

# stacks_here: print the names of the stacks that have more than an audit log, also those whose containers were removed.
stacks_here() {
  for folder in "$base"/*/; do
    folder=${folder%/}
    [ ! -d "$folder/releases" ] && [ ! -d "$folder/workspace" ] || echo "${folder##*/}"
  done
}

# named_here: print `STACK SERVICE` for each stack that was made from a reference, as JSON; other projects have stacks here, too.
named_here() {
  set --
  for folder in "$base"/*/current; do
    read_source "$folder"
    owner=${owner#'"'} owner=${owner%'"'} name=${folder%/current}
    case $owner in '' | *[!a-z0-9_-]*) continue ;; esac
    [ "$ref" = '""' ] || set -- "$@" "${name##*/} $owner"
  done
  json_list "$@"
}

# show_stack FILE: print the events of the stack that the file asks for, if it is here.
show_stack() {
  set -- "$1"
  while IFS= read -r word; do set -- "$@" "$word"; done <"$1"
  shift
  case $known_stacks in *" $1 "*) ;; *) return ;; esac
  emit about stack "$1"
  sh "$here/facts.sh" "$@" | sed '/^{"type":"result"/d'
  [ ! -f "$here/meta/inside" ] || [ ! -e "$base/$1/current" ] || sh "$here/contents.sh" "$1" | sed '/^{"type":"result"/d'
}

known_stacks=" $(stacks_here | tr '\n' ' ')"
read -r _ memory _ </proc/meminfo
disk=$(sed -n 4p "$engine_known" 2>/dev/null)
[ -d "${disk:-}" ] || disk=$HOME
# shellcheck disable=SC2086 # the names are words
emit survey stacks: "$(json_list $known_stacks)" named: "$(named_here)" memory: "$((memory * 1024))" cpus: "$(nproc)" \
  disk_free: "$(df -Pk "$disk" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')"
for asked in "$here"/meta/asked.*; do
  [ ! -f "$asked" ] || show_stack "$asked"
done
emit result ok: true phase survey

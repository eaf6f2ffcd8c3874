#!/bin/sh
# Report which stacks are on this host, and the facts of those that are asked for: survey.sh
#
# Payload: a file meta/asked.N for each stack that is asked for, with the arguments of facts.sh, one per line; with
# meta/inside, those of contents.sh follow. meta/described has the service of a project.
# Events: `survey` {stacks, named, leaving, memory, cpus, disk_free}, where `named` has `STACK SERVICE` for each named stack, and
# `leaving` the stacks that are being moved to another host; those of manifest.sh for the named stacks of that project; for each stack asked for that is here one `about` {stack}, followed by the
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
    [ ! -d "$folder/releases" ] && [ ! -d "$folder/workspace" ] || is_moving_here "$folder" || echo "${folder##*/}"
  done
}

# leaving_here: print the names of the stacks that are being moved to another host, or were, as JSON.
leaving_here() {
  set --
  for file in "$base"/*/underway; do
    word=''
    [ ! -f "$file" ] || read -r word <"$file"
    file=${file%/*}
    case $word in move | moved) set -- "$@" "${file##*/}" ;; esac
  done
  json_list "$@"
}

# named_here: print `STACK SERVICE` for each stack that was made from a reference; other projects have stacks here, too.
named_here() {
  for folder in "$base"/*/current; do
    read_source "$folder"
    owner=${owner#'"'} owner=${owner%'"'} name=${folder%/current}
    case $owner in '' | *[!a-z0-9_-]*) continue ;; esac
    [ "$ref" = '""' ] || echo "${name##*/} $owner"
  done
}

# named_list: print the lines in `named`, as JSON.
named_list() {
  set --
  while IFS= read -r line; do [ -z "$line" ] || set -- "$@" "$line"; done <<END
$named
END
  json_list "$@"
}

# describe_stacks SERVICE: print the events of the named stacks of this project.
describe_stacks() {
  # shellcheck disable=SC2046 # names are words
  sh "$here/manifest.sh" $(printf '%s\n' "$named" | while read -r name owner; do
    [ "$owner" != "$1" ] || echo "$name"
  done) | sed '/^{"type":"result"/d'
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
named=$(named_here)
# shellcheck disable=SC2086 # the names are words
emit survey stacks: "$(json_list $known_stacks)" named: "$(named_list)" leaving: "$(leaving_here)" memory: "$((memory * 1024))" cpus: "$(nproc)" \
  disk_free: "$(df -Pk "$disk" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')"
read_file "$here/meta/described"
[ -z "$content" ] || [ -z "$named" ] || describe_stacks "$content"
for asked in "$here"/meta/asked.*; do
  [ ! -f "$asked" ] || show_stack "$asked"
done
emit result ok: true phase survey

#!/bin/sh
# Allot free ports of this host to a stack: allot.sh STACK FIRST LAST NAME...
#
# A port that the stack has keeps its number, as long as the stack is here. A NAME is `service:published:target/protocol`.
#   ~/.kamal-dev/<stack>/ports   a line each: the name and the port
# Payload: meta/wanted, lines like these, with the ports that the stack gets if they are free.
# Events: `allotted` {ports}, then `result`.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=stack.sh
. "$here/stack.sh"
# shellcheck source-path=SCRIPTDIR source=ports.sh
. "$here/ports.sh"

# is_allotted NAME: whether the stack has a port of this name.
is_allotted() { grep -qsF -- "$1 " "$home/ports"; }

# next_free PROTOCOL: set port to the next free one.
next_free() {
  port=$candidate
  while [ "$port" -le "$last" ]; do
    case " $allotted_to_all " in
      *" $port "*) ;;
      *) port_holder "0.0.0.0:$port/$1"
        [ -n "$holder" ] || return 0 ;;
    esac
    port=$((port + 1))
  done
  return 1
}

# as_wanted NAME: set port to the one that meta/wanted has for it, if that is free.
as_wanted() {
  port=$(awk -v name="$1" '$1 == name { print $2; exit }' "$here/meta/wanted" 2>/dev/null)
  case $port in '' | *[!0-9]*) return 1 ;; esac
  case " $allotted_to_all " in *" $port "*) return 1 ;; esac
  port_holder "0.0.0.0:$port/${1##*/}"
  [ -z "$holder" ]
}

use_stack "$1"
candidate=$2 last=$3
shift 3
mkdir -p "$home" 2>/dev/null || give_up ports "could not create $home: $(why_not_written "$HOME")"
command -v flock >/dev/null 2>&1 || give_up ports "allotting ports needs \`flock\` on the host"
exec 9<"$base"
wait_for_lock 30 9 || give_up ports 'another process is allotting ports'
list_containers 2>/dev/null || container_list=''
containers_ports=$(published_ports) listening=$(listening_ports)
allotted_to_all=$(cat "$base"/*/ports 2>/dev/null | cut -d' ' -f2 | tr '\n' ' ')
cat "$home/ports" >"$here/ports" 2>/dev/null
for name; do
  ! is_allotted "$name" || continue
  if ! as_wanted "$name"; then
    next_free "${name##*/}" || give_up ports "no port is free between $candidate and $last"
    candidate=$((port + 1))
  fi
  allotted_to_all="$allotted_to_all $port"
  printf '%s %s\n' "$name" "$port" >>"$here/ports"
done
keep_file "$here/ports" "$home/ports" || give_up ports "could not write $home/ports: $(why_not_written "$home")"
emit allotted ports: "$(allotted)"
emit result ok: true phase ports

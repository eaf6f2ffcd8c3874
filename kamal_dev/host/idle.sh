# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Whether somebody uses a stack, according to its host. Sourced by watcher.sh after replace.sh and lifetime.sh; runs nothing by itself.
#
# A stack is used if people have entered it with `dev`, are in its containers or have an editor server there, forward its ports, or are
# connected to a published port. Health checks, the connections among its containers, and questions about its state are no use.
# A closed connection can be seen for a minute, so this is asked more often.

# is_used: whether the stack is used, or was since the last time. Sets traffic, which is to be kept for the next time.
is_used() {
  traffic=$life_traffic
  if [ -f "$home/active" ]; then
    rm -f "$home/active"
    return
  fi
  look_at_stack && list_containers || return
  some_container is_entered || is_forwarded || has_connections
}

# some_container COMMAND: whether that is true for a running container, whose row is its argument.
some_container() {
  while IFS= read -r used_row; do
    case $used_row in *'|running|'*) ! "$1" "$used_row" </dev/null || return 0 ;; esac
  done <<END
$found
END
  return 1
}

is_entered() { [ "$(who_is_in "${1%%|*}")" != '[]' ]; }

# is_forwarded: whether somebody forwards ports of a container, see forward.sh.
is_forwarded() {
  forwarded=$(engine_forwards)
  [ -n "$forwarded" ] || return
  for used_id in $ids; do
    case $forwarded in *"$used_id"*) return 0 ;; esac
  done
  return 1
}

# has_connections: whether somebody is, or just was, connected to a port of the stack.
has_connections() {
  own_ports=$(published_ports | own=$stack awk -F'|' '$5 == ENVIRON["own"] && $4 == "tcp" { for (port = $2; port <= $3; port++) print port, $1 }')
  [ -n "$own_ports" ] || return
  # Both ends of a connection to 127.0.0.1 are on this host; others are only seen in the container, and once in the rules that lead there.
  # shellcheck disable=SC2046 # ports are words
  has_local_connection $(printf '%s\n' "$own_ports" | cut -d' ' -f1) || some_container is_visited || has_new_connections
}

# tcp_tables PROCESS: set tables to the files with its TCP connections.
tcp_tables() {
  tables=''
  for table in tcp tcp6; do
    [ ! -r "/proc/$1/net/$table" ] || tables="$tables /proc/$1/net/$table"
  done
  [ -n "$tables" ]
}

# has_local_connection PORT...: whether a connection to one of the ports of the host is, or just was, open.
has_local_connection() {
  tcp_tables self || return
  # shellcheck disable=SC2086 # files are words
  ports=$* awk "$tcp_awk"'
    $4 == "0A" || FNR == 1 { next }
    { split($2, here, ":"); split($3, there, ":") }
    (here[2] in wanted) || ((there[2] in wanted) && there[1] ~ /(0000007F|00000001000000)$/) { found = 1; exit }
    END { exit !found }' $tables 2>/dev/null
}
# shellcheck disable=SC2016 # for awk
tcp_awk='BEGIN { count = split(ENVIRON["ports"], list, /[ \/a-z]+/); for (i = 1; i <= count; i++) if (list[i] != "") wanted[sprintf("%04X", list[i])] }'

# is_visited ROW: whether a connection from outside of its networks to one of its ports is, or just was, open in a container.
is_visited() {
  IFS='|' read -r used_id _ _ _ _ _ _ _ _ _ _ _ _ used_process _ _ used_ports _ <<END
$1
END
  [ -n "$used_ports" ] && is_process_of "$used_process" "$used_id" && tcp_tables "$used_process" || return
  # shellcheck disable=SC2086 # files are words
  visitors=$(ports=$used_ports awk "$tcp_awk"'
    $4 == "0A" || FNR == 1 { next }
    { split($2, here, ":"); split($3, there, ":") }
    (here[2] in wanted) && here[1] != there[1] && !seen[here[1] there[1]]++ { print there[1] }' $tables 2>/dev/null | head -n 500)
  find_networks "/proc/$used_process/net/route" || return
  for visitor in $visitors; do ! is_outside "$visitor" || return 0; done
  return 1
}

# find_networks FILE: set networks to `<address> <mask>` of the networks in a routing table of the kernel, and gateways to the
# routers, in its hexadecimal notation.
find_networks() {
  networks='' gateways=' '
  while read -r _ route_to route_by _ _ _ _ route_mask _; do
    case $route_to:$route_by in
      Destination:*) ;;
      *:00000000) networks="$networks $route_to:$route_mask" ;;
      *) gateways="$gateways$route_by " ;;
    esac
  done 2>/dev/null <"$1"
}

# is_outside ADDRESS: whether an address, as in /proc/net/tcp, is of none of `networks`; a gateway passes on what comes from outside.
is_outside() {
  case $1 in
    0000000000000000FFFF0000????????) set -- "${1#????????????????????????}" ;;
    00000000000000000000000001000000) return 1 ;;
    # In the networks of an engine, IPv6 addresses are local or unique local.
    ????????????????????????????????) case $1 in ??????F[CDcd]* | ????80FE*) return 1 ;; *) return 0 ;; esac ;;
  esac
  case $1:$gateways in ??????7F:* | 00000000:*) return 1 ;; *" $1 "*) return 0 ;; esac
  for network in $networks; do
    [ $((0x$1 & 0x${network#*:})) != $((0x${network%:*})) ] || return 1
  done
}

# has_new_connections: whether connections from other machines were made since the last time. Only asked for ports that they can reach.
has_new_connections() {
  reachable=$(printf '%s\n' "$own_ports" | grep -vE ' (127\..*|::1)$' | cut -d' ' -f1)
  [ -n "$reachable" ] || return
  # shellcheck disable=SC2086 # ports are words
  traffic=$(engine_connections $reachable)
  [ -n "$traffic" ] && [ -n "$life_traffic" ] && [ "$traffic" != "$life_traffic" ]
}

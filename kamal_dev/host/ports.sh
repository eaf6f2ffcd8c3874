# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# What uses the ports that a release publishes. Sourced after stack.sh; changes nothing, and runs nothing by itself.
#
# A port is `address:port/protocol`. Ports of the stack's own containers do not count: they are replaced.

# clashes PORTS: print the ports used by others as JSON, each with its holder. Call list_containers first.
clashes() {
  [ -n "$1" ] || { echo '[]'; return; }
  containers_ports=$(published_ports)
  listening=$(listening_ports)
  clash_list=
  for wanted in $1; do
    port_holder "$wanted"
    [ -z "$holder" ] || clash_list="$clash_list,{\"port\":$(json_text "$wanted"),\"holder\":$(json_text "$holder")}"
  done
  echo "[${clash_list#,}]"
}

# listening_ports: print `protocol address port` of every listening socket, with the kernel's numbers.
listening_ports() {
  set --
  for table in tcp tcp6 udp udp6; do
    [ ! -r "/proc/net/$table" ] || set -- "$@" "/proc/net/$table"
  done
  [ $# -eq 0 ] || awk '
    FNR == 1 { protocol = FILENAME ~ /tcp/ ? "tcp" : "udp"; next }
    $4 == "0A" || (protocol == "udp" && $4 == "07") { split($2, parts, ":"); print protocol, parts[1], parts[2] }' "$@" 2>/dev/null
}

# port_holder PORT: set holder to what uses it; empty if it is free, or used by the stack itself.
port_holder() {
  holder=
  protocol=${1##*/} number=${1%/*}
  address=${number%:*} number=${number##*:}
  address=${address#[} address=${address%]}
  row=$(printf '%s\n' "$containers_ports" | awk -F'|' -v address="$address" -v number="$number" -v protocol="$protocol" -v own="$stack" '
    function everywhere(text) { return text == "" || text == "0.0.0.0" || text == "::" }
    $4 == protocol && $2 + 0 <= number + 0 && number + 0 <= $3 + 0 && ($1 == address || everywhere($1) || everywhere(address)) {
      if ($5 == own) mine = 1
      else { print $5 "|" $6; other = 1; exit }
    }
    END { if (mine && !other) print "own|" }')
  case $row in
    'own|') return ;;
    '') ! is_listened_to "$address" "$number" "$protocol" || holder="a process outside containers$(process_on "$number")" ;;
    '|'*) holder="the container \`${row#|}\`" ;;
    *) if [ -d "$base/${row%%|*}/releases" ]; then holder="the stack \`${row%%|*}\`"
      else holder="the container \`${row#*|}\` of the compose project \`${row%%|*}\`"; fi ;;
  esac
}

# is_listened_to ADDRESS PORT PROTOCOL: whether a socket listens there. The kernel prints IPv4 addresses in reverse
# byte order.
is_listened_to() {
  wanted_address=$1 wanted_hex=$(printf '%04X' "$2")
  case $1 in
    *:* | 0.0.0.0) wanted_address=any ;;
    *.*.*.*)
      IFS=. read -r byte_1 byte_2 byte_3 byte_4 <<END
$1
END
      wanted_address=$(printf '%02X%02X%02X%02X' "$byte_4" "$byte_3" "$byte_2" "$byte_1") ;;
    *) wanted_address=00000000 ;;
  esac
  while read -r each_protocol each_address each_port; do
    [ "$each_protocol $each_port" = "$3 $wanted_hex" ] || continue
    case $each_address in *[!0]*) ;; *) return 0 ;; esac
    case $wanted_address in any | 00000000 | "$each_address") return 0 ;; esac
  done <<END
$listening
END
  return 1
}

# process_on PORT: print ` (NAME)` of the process that listens there, if this user may see it.
# shellcheck disable=SC2016 # the backquotes are printed
process_on() {
  ss -Hltnup "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/ (`\1`)/p' | head -n 1
}

# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# What the first process of a container does, according to /proc: without asking the engine, and without connecting to
# anything. Sourced after lib.sh; runs nothing by itself.

# is_process_of PID CONTAINER: whether this local process is in it; if the engine runs on another machine, the id
# belongs to another process here.
is_process_of() {
  [ -r "/proc/$1/cgroup" ] && while IFS= read -r line; do
    case $line in *"$2"*) return ;; esac
  done 2>/dev/null <"/proc/$1/cgroup"
  return 1
}

# processes_of CONTAINER: print `pid ppid args` of its processes.
processes_of() {
  grep -lF -- "$1" /proc/[0-9]*/cgroup 2>/dev/null | while IFS= read -r folder; do
    folder=${folder%/cgroup}
    { look_at_process "${folder#/proc/}" && command_line=$(tr '\000\n' '  ' <"$folder/cmdline"); } 2>/dev/null || continue
    [ -z "$command_line" ] || printf '%s %s %s\n' "${folder#/proc/}" "$stat_parent" "$command_line"
  done
}

# is_heard PID SIGNAL: whether a process catches, blocks (so that it can wait for it) or ignores a signal. While an init waits for
# a signal, the kernel does not show it as blocked, therefore an init is known by its name.
is_heard() {
  read -r process_name 2>/dev/null <"/proc/$1/comm" || return
  case $process_name in *-init | tini* | catatonit) return ;; esac
  [ -r "/proc/$1/status" ] || return 0
  while read -r field mask; do
    case $field in SigBlk: | SigIgn: | SigCgt:) ;; *) continue ;; esac
    [ $((0x${mask#"${mask%????????}"} >> ($2 - 1) & 1)) = 0 ] || return 0
    [ "$field" != SigCgt: ] || return 1
  done 2>/dev/null <"/proc/$1/status"
}

# listens PID PORT[/PROTOCOL]...: whether something listens on each of these ports in the network namespace of PID.
listens() {
  ports_process=$1
  shift
  ports_wanted=$*
  set --
  for table in tcp tcp6 udp udp6; do
    [ ! -r "/proc/$ports_process/net/$table" ] || set -- "$@" "/proc/$ports_process/net/$table"
  done
  # 127.0.0.11 is the engine's DNS server, which may use any port in the container.
  [ $# -gt 0 ] && wanted=$ports_wanted awk '
    FNR == 1 { protocol = FILENAME; sub(/.*\//, "", protocol); sub(/6$/, "", protocol); next }
    $4 == (protocol == "tcp" ? "0A" : "07") && $2 !~ /^(0B00007F|7F00000B):/ { split($2, local, ":"); open[local[2] "/" protocol] }
    END {
      count = split(ENVIRON["wanted"], ports, " ")
      for (i = 1; i <= count; i++) {
        split(ports[i] "/tcp", port, "/")
        if (!(sprintf("%04X", port[1]) "/" port[2] in open)) exit 1
      }
    }' "$@" 2>/dev/null
}

# Sleeps of at least this many milliseconds only keep a container running; a server may start after a shorter one.
keep_alive=3600000

# idles PID [MILLISECONDS]: whether it only keeps a container running: it sleeps for at least that long, follows /dev/null or waits at
# a terminal, or it is a shell or an init that only waits for such a process.
idles() {
  case $(amounts_to "$1" "${2:-$keep_alive}") in
    idle) ;;
    prompt) look_at_process "$1" && [ "$stat_terminal" != 0 ] ;;
    loops) some_child_idles "$1" ;;
    waits) look_at_process "$1" && [ "$stat_state" = S ] && only_child_idles "$1" "${2:-$keep_alive}" ;;
    *) return 1 ;;
  esac 2>/dev/null
}

# amounts_to PID MILLISECONDS: print what its command line amounts to, see idle_awk. An init is known by its name,
# without starting a process.
amounts_to() {
  process_name=
  read -r process_name 2>/dev/null <"/proc/$1/comm"
  case $process_name in
    docker-init | tini | tini-static | catatonit) echo waits ;;
    *) tr '\000\n' '\n\001' <"/proc/$1/cmdline" | awk -v least="$2" "$idle_awk" ;;
  esac
}

# children_of PID: print its child processes. The list ends without a newline, so read fails.
children_of() {
  children=
  read -r children 2>/dev/null <"/proc/$1/task/$1/children"
  echo "$children"
}

some_child_idles() {
  # shellcheck disable=SC2046 # processes are words
  set -- $(children_of "$1")
  for child; do ! idles "$child" 0 || return 0; done
  return 1
}

only_child_idles() {
  # shellcheck disable=SC2046 # processes are words
  set -- "$2" $(children_of "$1")
  [ $# = 2 ] && idles "$2" "$1"
}

# Reads a command line, a word per line, and prints what it amounts to: `idle`, `waits` (a shell or an init: what it waits
# for decides), `loops` (a shell whose script ends with a loop of nothing but sleeps, but may not be there yet), `prompt` or `busy`.
# shellcheck disable=SC2016 # for awk
idle_awk='
function base(path) { sub(/^-/, "", path); sub(/.*\//, "", path); return path }
function milliseconds(text) {
  if (text ~ /^inf(inity)?$/) return 1e15
  return text * 1000 * (text ~ /d$/ ? 86400 : text ~ /h$/ ? 3600 : text ~ /m$/ ? 60 : 1)
}
function sleeps(   i, sum) { for (i = at + 1; i <= NR; i++) sum += milliseconds(word[i]); return sum >= least }
function follows_nothing(   i, follows) {
  for (i = at + 1; i <= NR; i++) {
    if (word[i] ~ /^(-[^-]*[fF]|--follow)/) follows = 1
    else if (word[i] !~ /^(-.*|[0-9]+|\/dev\/null)$/) return 0
  }
  return follows
}
function has_no_script(   i) { for (i = at + 1; i <= NR; i++) if (word[i] !~ /^(-[il]+|--login)$/) return 0; return 1 }
function ends_with_a_loop(   i, text, count, token) {
  for (i = at + 1; i <= NR && word[i] !~ /^-[a-z]*c$/; i++);
  text = word[i + 1]
  gsub(/[\001\t;& ]+/, " ", text)
  sub(/ $/, "", text)
  count = split(text, token, " ")
  if (token[count] != "done") return 0
  for (i = count; i > 0 && token[i] !~ /^(while|until)$/; i--)
    if (token[i] !~ /^(do|done|sleep|wait|:|true|false|"?\$!"?|[0-9.]+[smhd]?|inf(inity)?|\[|\])$/) return 0
  return i > 0
}
{ word[NR] = $0 }
END {
  at = 1
  if (base(word[1]) ~ /^(busy|toy)box$/) at = 2
  name = base(word[at]); is_shell = name ~ /^(sh|ash|bash|dash|ksh|zsh)$/
  answer = is_shell || name ~ /^([a-z]+-init|tini|tini-static|catatonit)$/ ? "waits" : "busy"
  if (name == "pause" || (name == "sleep" && sleeps()) || (name == "tail" && follows_nothing())) answer = "idle"
  else if (is_shell && has_no_script()) answer = "prompt"
  else if (is_shell && ends_with_a_loop()) answer = "loops"
  print answer
}'

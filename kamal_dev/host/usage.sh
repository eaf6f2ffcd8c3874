# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# What the containers of stacks use: processor, memory, and the disk space of their volumes. Sourced after stack.sh; runs nothing by
# itself.
#
# The kernel answers at once, where the engine takes two seconds for the same. Volumes are measured apart, because that may take
# long: a stack has the sizes that were measured last, and no status waits for new ones for more than a moment.
#   ~/.kamal-dev/<stack>/volumes      `<bytes> <name>` a line, as measured last; `-` where that was not possible
#   ~/.kamal-dev/<stack>/.measuring   there while they are measured

cgroups=/sys/fs/cgroup sampled_ms=100 measured_within=20 sampled_at=0 samples='' mounted=''

# --- processor and memory

# find_cgroup ID PROCESS: set cgroup_cpu and cgroup_memory to the folders of the container, which has this process. An init system in
# the container may have made groups of its own below.
find_cgroup() {
  cgroup_cpu='' cgroup_memory=''
  [ -r "/proc/$2/cgroup" ] || return
  while IFS=: read -r _ controllers group; do
    case $group in *"$1"*) below=${group#*"$1"} group=${group%%"$1"*}$1${below%%/*} ;; esac
    if [ -f "$cgroups/cgroup.controllers" ]; then cgroup_cpu=$cgroups$group cgroup_memory=$cgroups$group
    else
      case ,$controllers, in *,cpuacct,*) cgroup_cpu=$cgroups/cpuacct$group ;; esac
      case ,$controllers, in *,memory,*) cgroup_memory=$cgroups/memory$group ;; esac
    fi
  done <"/proc/$2/cgroup"
}

# read_cpu FOLDER: set used to the microseconds of processor time.
read_cpu() {
  used=''
  if [ -r "$1/cpuacct.usage" ]; then read -r used <"$1/cpuacct.usage" && used=$((used / 1000))
  elif [ -r "$1/cpu.stat" ]; then used=$(value_in "$1/cpu.stat" usage_usec)
  fi
  [ -n "$used" ]
}

# read_memory FOLDER: set memory to the bytes in use, without files in the cache that can be dropped, as the engine counts them.
read_memory() {
  memory='' unneeded=''
  if [ -r "$1/memory.current" ]; then read -r memory <"$1/memory.current" && unneeded=$(value_in "$1/memory.stat" inactive_file)
  elif [ -r "$1/memory.usage_in_bytes" ]; then
    read -r memory <"$1/memory.usage_in_bytes" && unneeded=$(value_in "$1/memory.stat" total_inactive_file)
  fi
  [ -n "$memory" ] || return
  memory=$((memory - ${unneeded:-0}))
  [ "$memory" -ge 0 ] || memory=0
}

# value_in FILE KEY: print the value that a line of it has for the key.
value_in() {
  while read -r key value; do
    [ "$key" != "$2" ] || { echo "$value" && return; }
  done <"$1" 2>/dev/null
}

# begin_sampling: note what each container in `found` has used so far.
begin_sampling() {
  while IFS='|' read -r id _ state _ _ _ _ _ _ _ _ _ _ process _; do
    { [ "$state" = running ] && find_cgroup "$id" "$process" && read_cpu "$cgroup_cpu"; } || continue
    clock
    sampled_at=$now
    samples="$samples$stack|$id|$now|$used|$cgroup_cpu|$cgroup_memory
"
  done <<END
$found
END
}

# show_usage: print a `usage` event for each container that was sampled.
show_usage() {
  while IFS='|' read -r stack id since used_before cgroup_cpu cgroup_memory; do
    { [ -n "$id" ] && read_cpu "$cgroup_cpu"; } || continue
    clock
    took=$((now - since))
    [ "$took" -gt 0 ] || took=1
    tenths=$(((used - used_before) / took)) millis=$((used / 1000 % 1000 + 1000))
    read_memory "$cgroup_memory" || memory=null
    emit usage stack "$stack" id "$id" cpu: "$((tenths / 10)).$((tenths % 10))" cpu_seconds: "$((used / 1000000)).${millis#1}" \
      memory: "$memory"
  done <<END
$samples
END
}

# --- volumes

# begin_measuring: note the `volumes` of the stack, and measure them apart, unless that was done in the last minute.
begin_measuring() {
  [ -n "$volumes" ] || return 0
  wanted=$(printf '%s\n' "$volumes" | cut -d'|' -f3- | sort -u)
  mounted="$mounted$(printf '%s\n' "$volumes" | sed "s/^volume/$stack/")
"
  ! is_measured || return 0
  { : >"$home/.measuring"; } 2>/dev/null || return 0
  # A shell keeps what it redirects around a function open until its end, and the connection waits for that.
  (exec </dev/null >/dev/null 2>&1; measure &)
}

# is_measured: whether each volume in `wanted` was measured in the last minute.
is_measured() {
  [ -n "$(find "$home/volumes" -mmin -1 2>/dev/null)" ] || return
  [ "$(cut -d' ' -f2- "$home/volumes")" = "$(printf '%s\n' "$wanted" | cut -d'|' -f1)" ]
}

# measure: write the sizes of the volumes in `wanted`; one process at a time.
measure() {
  exec 9<"$home/.measuring"
  flock -n 9 || return
  printf '%s\n' "$wanted" | while IFS='|' read -r name folder; do
    kilobytes=$(size_of "$folder" 9<&- | cut -f1)
    case $kilobytes in '' | *[!0-9]*) echo "- $name" ;; *) echo "$((kilobytes * 1024)) $name" ;; esac
  done >"$home/.volumes" && mv "$home/.volumes" "$home/volumes"
  rm -f "$home/.measuring"
}

# size_of FOLDER: print its kilobytes as `du` does. Volumes belong to root, except those of an engine without root.
size_of() {
  set -- "$1" timeout -k 1 "$measured_within" nice du -sk -- "$1"
  if [ -r "$1" ] && [ -x "$1" ]; then shift && "$@"; else shift && as_root "$@"; fi
}

# wait_for_figures STACK...: wait until samples are long enough, and for a moment until volumes are measured.
wait_for_figures() {
  [ -n "$samples$mounted" ] || return 0
  clock
  while [ "$now" -lt $((sampled_at + sampled_ms)) ]; do
    sleep 0.05
    clock
  done
  for _ in 1 2 3; do
    is_measuring "$@" || return 0
    sleep 0.05
  done
}

is_measuring() {
  for name; do [ ! -f "$base/$name/.measuring" ] || return 0; done
  return 1
}

# show_volumes: print a `volume` event for each volume of a container; one without a size was not measured.
show_volumes() {
  while IFS='|' read -r stack id name _; do
    [ -n "$name" ] || continue
    bytes=$(value_of "$name")
    emit volume stack "$stack" container "$id" name "$name" bytes: "$bytes"
  done <<END
$mounted
END
}

# value_of VOLUME: print its size in bytes, `null` if it is unknown.
value_of() {
  while read -r bytes name; do
    case $bytes:$name in -:* | *[!0-9]*:*) ;; *:"$1") echo "$bytes" && return ;; esac
  done 2>/dev/null <"$base/$stack/volumes"
  echo null
}

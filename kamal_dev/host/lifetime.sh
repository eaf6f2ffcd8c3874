# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# When a stack ends by itself. Sourced after stack.sh; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/lifetime   a line each, `<key> <value>`; durations are seconds:
#       ttl idle             the limits, 0 for none
#       own_ttl own_idle     `yes` if a flag or `dev extend` has set it, not dev.yml
#       then                 stop or remove
#       ttl_left idle_left   what was left when this was written
#       wall uptime boot     when that was: seconds since 1970, seconds since the boot, which boot
#       ended ended_at       the limit that has ended, once that was carried out, and when (since 1970)
#       told                 what people were told last: `soon` or `ended`
#       kept                 why an ended stack was not removed
#       traffic              see idle.sh
#   ~/.kamal-dev/<stack>/active     somebody has entered the stack since it was looked at
# Time is counted on a clock that nobody can set; only over a reboot, the difference of the other one counts.

longest_notice=900

# hold_lifetime: keep others from changing the lifetime until release_lifetime.
hold_lifetime() { exec 7<"$releases" && wait_for_lock 10 7; }
release_lifetime() { exec 7<&-; }

# read_lifetime: set life_* to the lifetime as it was written; fails if the stack has none.
read_lifetime() {
  life_ttl=0 life_idle=0 life_own_ttl='' life_own_idle='' life_then=stop life_ttl_left=0 life_idle_left=0 life_wall=0 life_uptime=0
  life_boot='' life_ended='' life_ended_at=0 life_told='' life_kept='' life_traffic=''
  [ -s "$home/lifetime" ] || return
  while read -r life_key life_value; do
    case $life_key in
      ttl | idle | wall | uptime | ended_at) case $life_value in '' | *[!0-9]*) continue ;; esac ;;
      ttl_left | idle_left) case ${life_value#-} in '' | *[!0-9]*) continue ;; esac ;;
      own_ttl | own_idle | then | boot | ended | told | kept | traffic) ;;
      *) continue ;;
    esac
    eval "life_$life_key=\$life_value"
  done <"$home/lifetime"
}

write_lifetime() {
  for life_key in ttl idle own_ttl own_idle 'then' ttl_left idle_left wall uptime boot ended ended_at told kept traffic; do
    eval "life_value=\$life_$life_key"
    [ -z "$life_value" ] || printf '%s %s\n' "$life_key" "$life_value"
  done >"$home/.lifetime" && mv "$home/.lifetime" "$home/lifetime"
}

# current_lifetime: read it, and let the time pass until now; fails if the stack has none.
current_lifetime() {
  read_lifetime || return
  read -r life_now _ </proc/uptime
  read -r life_booted </proc/sys/kernel/random/boot_id
  pass_time "$(date +%s)" "${life_now%.*}" "$life_booted"
}

# continue_lifetime: let it continue from now, after it was written on another host.
continue_lifetime() {
  read_lifetime || return 0
  read -r life_now _ </proc/uptime
  read -r life_boot </proc/sys/kernel/random/boot_id
  life_wall=$(date +%s) life_uptime=${life_now%.*}
  write_lifetime
}

# pass_time WALL UPTIME BOOT: let the time pass until then. After a reboot at least the time since it has passed, whatever the
# clock says.
pass_time() {
  if [ "$3" = "$life_boot" ] && [ "$2" -ge "$life_uptime" ]; then
    life_passed=$(($2 - life_uptime))
  else
    life_passed=$(($1 - life_wall))
    [ "$life_passed" -ge "$2" ] || life_passed=$2
  fi
  life_ttl_left=$((life_ttl_left - life_passed)) life_idle_left=$((life_idle_left - life_passed))
  life_wall=$1 life_uptime=$2 life_boot=$3
}

# begin_lifetime: start to count again from now.
begin_lifetime() {
  life_ttl_left=$life_ttl life_idle_left=$life_idle life_ended='' life_ended_at=0 life_told='' life_kept=''
}

# find_over: set over to the limit that is reached, `ttl` or `idle`; empty if there is none.
find_over() {
  over=''
  if [ "$life_ttl" -gt 0 ] && [ "$life_ttl_left" -le 0 ]; then over=ttl
  elif [ "$life_idle" -gt 0 ] && [ "$life_idle_left" -le 0 ]; then over=idle
  fi
}

# find_first: set first to the limit that ends first, first_limit to it, and first_left to what is left.
find_first() {
  first='' first_limit=0 first_left=0
  [ "$life_ttl" = 0 ] || first=ttl first_limit=$life_ttl first_left=$life_ttl_left
  [ "$life_idle" = 0 ] || { [ -n "$first" ] && [ "$life_idle_left" -ge "$first_left" ]; } ||
    first=idle first_limit=$life_idle first_left=$life_idle_left
}

# notice_for SECONDS: set notice to how long before the end of a limit people are told.
notice_for() {
  notice=$(($1 / 4))
  [ "$notice" -le "$longest_notice" ] || notice=$longest_notice
}

# find_pause: after find_first, set pause to how many seconds later the lifetime has to be looked at; 0 if there is nothing to come.
# Whether somebody uses a stack has to be looked at more often.
find_pause() {
  pause=0
  [ -z "$life_ended" ] && [ -n "$first" ] || return 0
  notice_for "$first_limit"
  pause=240
  [ "$life_idle" = 0 ] || pause=50
  [ "$life_idle" = 0 ] || [ $((life_idle / 4)) -ge "$pause" ] || pause=$((life_idle / 4))
  [ "$first_left" -ge "$pause" ] || pause=$first_left
  [ "$life_told" = soon ] || [ $((first_left - notice)) -ge "$pause" ] || pause=$((first_left - notice))
  [ "$pause" -ge 1 ] || pause=1
}

# spell SECONDS: print a duration for people, in its one or two largest units.
spell() {
  days=$(($1 / 86400)) hours=$(($1 / 3600 % 24)) minutes=$(($1 / 60 % 60)) rest=$(($1 % 60))
  if [ "$days" -gt 0 ]; then set -- "$days d" "$hours h"
  elif [ "$hours" -gt 0 ]; then set -- "$hours h" "$minutes min"
  elif [ "$minutes" -gt 0 ]; then set -- "$minutes min" "$rest s"
  else set -- "$rest s" '0 '
  fi
  case $2 in '0 '*) echo "$1" ;; *) echo "$1 $2" ;; esac
}

# tend_lifetime VERB OK: after a change: a deploy begins the lifetime again, and so does what starts a stack that has ended.
# With `ends`, the limit for which it was stopped, a stop ends it.
tend_lifetime() {
  [ -f "$home/lifetime" ] && hold_lifetime && current_lifetime || return 0
  case $1:$2:${life_ended:+ended} in
    apply:true:* | apply:*:ended | rollback:*:ended | start:*:ended | restart:*:ended) begin_lifetime ;;
    start:* | restart:* | rollback:*) life_idle_left=$life_idle ;;
    stop:true:*) [ -z "${ends:-}" ] || life_ended=$ends life_ended_at=$life_wall life_told='' life_kept='' ;;
  esac
  write_lifetime
  release_lifetime
}

# wake_watcher LINE: pass a line to the watcher, if one runs.
wake_watcher() {
  ! has_watcher || (echo "$1" >"$base/.watcher/events") 2>/dev/null
}

# has_watcher: whether the watcher of this login runs.
has_watcher() { read -r life_watcher 2>/dev/null <"$base/.watcher/process" && is_there "$life_watcher"; }

# describe_lifetime: print the lifetime as JSON, or `null`.
describe_lifetime() {
  current_lifetime || { echo null; return; }
  life_ago=0
  [ -z "$life_ended" ] || [ "$life_wall" -lt "$life_ended_at" ] || life_ago=$((life_wall - life_ended_at))
  if has_watcher; then life_watched=true; else life_watched=false; fi
  life_json=$(emit lifetime ttl: "$life_ttl" idle: "$life_idle" 'then' "$life_then" ttl_left: "$life_ttl_left" \
    idle_left: "$life_idle_left" ended "$life_ended" ended_ago: "$life_ago" kept "$life_kept" watched: "$life_watched")
  echo "{${life_json#*,}"
}

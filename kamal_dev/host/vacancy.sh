# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Whether a host has no stack and may be destroyed. Sourced after stack.sh and audit.sh; runs nothing by itself.

# A deploy creates a host, then builds images, and only then sends something of the stack to it.
quiet_minutes=15

# find_use: set use to why the host may be about to get a stack; empty if nothing indicates that.
find_use() {
  use=''
  if has_more_than_records || [ -d "$home/lock" ]; then use="it has $stack"
  elif [ -n "$(all_stacks)" ]; then use="it has $(all_stacks | paste -sd ' ' -)"
  elif [ "$(age_of_host)" -lt $((quiet_minutes * 60)) ]; then use="its host was started less than $quiet_minutes minutes ago"
  elif is_recent; then use="its host was used less than $quiet_minutes minutes ago"
  fi
}

# is_recent: whether something in the folder of `dev` is new; what the watcher writes does not count.
is_recent() {
  [ -n "$(find "$base" -mindepth 1 ! -path "$base/.watcher*" -mmin "-$quiet_minutes" 2>/dev/null | head -n 1)" ]
}

# age_of_host: print for how many seconds its first process has run: a container has the uptime of its machine.
age_of_host() {
  look_at_process 1 || { echo 0; return; }
  read -r host_now _ </proc/uptime
  ticks=$(getconf CLK_TCK 2>/dev/null) || ticks=100
  echo $((${host_now%.*} - stat_started / ticks))
}

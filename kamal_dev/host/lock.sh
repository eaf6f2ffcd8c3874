# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# The lock of a stack: one change at a time. Sourced after stack.sh; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/lock/owner   process, its start, since when, the verb, and the token of the run

# lock_stack WORD: take the lock for this process. Ends the script where another living one has it.
lock_stack() {
  mkdir -p "$home"
  # The folder itself is locked while looking, so that of two that find a dead owner only one takes over.
  exec 9<"$home"
  flock -w 10 9 || give_up lock 'the lock of this stack cannot be looked at'
  read_lock
  ! is_alive "$lock_pid" "$lock_start" ||
    give_up lock "\`$lock_word\` has been running on this stack since $lock_since (process $lock_pid)"
  mkdir -p "$home/lock"
  printf '%s\n' "$$" "$(started_at $$)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "${KAMAL_DEV_TOKEN:-}" >"$home/lock/owner"
  exec 9<&-
}

read_lock() {
  lock_pid='' lock_start='' lock_since='' lock_word='' lock_token=''
  [ ! -f "$home/lock/owner" ] ||
    { read -r lock_pid; read -r lock_start; read -r lock_since; read -r lock_word; read -r lock_token; } <"$home/lock/owner"
}

# describe_lock: print the living lock as JSON, `null` where there is none.
describe_lock() {
  read_lock 2>/dev/null
  if is_alive "$lock_pid" "$lock_start"; then
    printf '{"pid":%s,"since":"%s","word":"%s","token":"%s"}\n' "$lock_pid" "$lock_since" "$lock_word" "$lock_token"
  else
    echo null
  fi
}

unlock_stack() { rm -rf "$home/lock"; }

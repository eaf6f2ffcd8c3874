# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# The lock of a stack: one change at a time. Sourced after stack.sh, and after audit.sh to take it; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/lock/owner   a line each: process, its start, boot id, since when, the verb, the token of the run,
#                                     who, version, release
#   ~/.kamal-dev/<stack>/lock/beat    uptime in seconds when the owner was last active

beat_every=5 stale_after=60
lock_events=1 # the descriptor for events about the lock; 2 for scripts whose stdout is not for events

# lock_stack WORD: take the lock for this process. If a living process has it, the script ends; the lock of a dead process
# is removed with a message. Never waits: after a wait, the caller might not want to change the stack any longer.
lock_stack() {
  open_lock
  read_lock
  case $lock_state in
    held) give_up lock "stack is locked by $(lock_owner)" ;;
    stale) give_up lock "stack is locked by $(lock_owner), without progress for $lock_age s" ;;
    dead) remove_stale_lock ;;
  esac
  look_at_process $$ && lock_start=$stat_started
  # On a full disk the owner file would be half written, and the owner taken for dead.
  { { [ -d "$home/lock" ] || mkdir -p "$home/lock"; } && beat && printf '%s\n' "$$" "$lock_start" "$boot_id" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" \
    "${KAMAL_DEV_TOKEN:-}" "$(performer)" "${version:-}" "${release:-}" >"$home/lock/owner.new" &&
    mv "$home/lock/owner.new" "$home/lock/owner"; } 2>/dev/null ||
    { rm -rf "$home/lock" && give_up locking "could not write the lock: $(why_not_written "$home")"; }
  exec 9<&-
  # No child of this shell, which may wait for all that it has. By `exec`, so that no copy of stdout is kept: the
  # caller would wait for the last beat.
  (exec </dev/null >/dev/null 2>&1; keep_beating &)
}

# open_lock: take descriptor 9 as a lock on changes of the lock: one script at a time, until it is closed.
open_lock() {
  read -r boot_id </proc/sys/kernel/random/boot_id
  while :; do
    { { [ -d "$home" ] || mkdir -p "$home"; } && [ -r "$home" ]; } || give_up locking "could not create or read $home: $(why_not_written "$home")"
    exec 9<"$home"
    command -v flock >/dev/null 2>&1 || give_up locking "locking needs \`flock\` on the host"
    wait_for_lock 10 9 || give_up lock 'another process is reading the lock'
    # If the folder was removed meanwhile, this lock is on the deleted folder only.
    # shellcheck disable=SC3013 # dash and busybox have it
    [ ! "$home" -ef /dev/fd/9 ] || return 0
  done
}

# read_lock: set lock_state to free, held, stale (the owner is alive but hangs) or dead, and lock_* to what is known.
read_lock() {
  lock_pid='' lock_start='' lock_boot='' lock_since='' lock_word='' lock_token='' lock_by='' lock_version='' lock_release=''
  lock_state=free lock_age=0
  [ -f "$home/lock/owner" ] || return 0
  for lock_field in pid start boot since word token by version release; do
    IFS= read -r "lock_$lock_field" || break
  done <"$home/lock/owner"
  lock_state=dead
  case $lock_pid in '' | *[!0-9]*) lock_pid=0 ;; esac
  read -r boot_id </proc/sys/kernel/random/boot_id
  [ "$lock_boot" = "$boot_id" ] && is_alive "$lock_pid" "$lock_start" || return 0
  lock_state=held
  read -r lock_beat 2>/dev/null <"$home/lock/beat" || lock_beat=''
  case $lock_beat in '' | *[!0-9]*) lock_beat=$(uptime_now) ;; esac
  lock_age=$(($(uptime_now) - lock_beat))
  [ "$lock_age" -lt "$stale_after" ] || lock_state=stale
}

# lock_owner: print the owner of the lock, for messages.
lock_owner() { echo "${lock_by:-somebody} (\`${lock_word:-apply}\` since ${lock_since:-an unknown time}, process $lock_pid)"; }

remove_stale_lock() {
  log "removed the stale lock of $(lock_owner)" >&"$lock_events"
  record lock state 'taken over' word "$lock_word" owner "$lock_by" since "$lock_since" version "$lock_version"
}

# describe_lock: print the lock as JSON, or `null`.
describe_lock() {
  read_lock 2>/dev/null
  [ "$lock_state" != free ] || { echo null; return; }
  emit lock state "$lock_state" pid: "$lock_pid" since "$lock_since" word "$lock_word" token "$lock_token" by "$lock_by" \
    version "$lock_version" release "$lock_release" age: "$lock_age"
}

unlock_stack() {
  # Another run may have replaced the lock; then it is not removed.
  if read -r lock_pid 2>/dev/null <"$home/lock/owner" && [ "$lock_pid" = "$$" ]; then rm -rf "$home/lock"; fi
}

# --- the heartbeat

uptime_now() { read -r up _ </proc/uptime && echo "${up%.*}"; }

# beat: overwrite the file in place: on a full disk, it could not be written again after truncating it.
beat() {
  [ -s "$home/lock/beat" ] || { uptime_now >"$home/lock/beat" && return; }
  uptime_now 1<>"$home/lock/beat"
}

# keep_beating: beat while this process has the lock and is not stopped.
keep_beating() {
  while sleep "$beat_every" && is_alive $$ "$lock_start" && read -r lock_pid <"$home/lock/owner" && [ "$lock_pid" = "$$" ]; do
    case $stat_state in [Tt]) ;; *) beat ;; esac
  done
}

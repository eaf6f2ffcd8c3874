# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# A run: a script that works apart from the SSH channel. Sourced after lib.sh; runs nothing by itself.
#
#   ~/.kamal-dev/.run/<token>/   log (events), errors (stderr), pid (process and its start), rc, payload/ (while it runs)

runs=$base/.run

# use_run TOKEN: select the run for everything below.
use_run() {
  case $1 in '' | .* | *[!A-Za-z0-9._-]*) give_up arguments "\`$1\` is not a valid token" ;; esac
  run=$runs/$1
}

# is_running RUN: whether its worker is alive; sets run_pid.
is_running() {
  [ -f "$1/pid" ] && { read -r run_pid; read -r run_start; } <"$1/pid" && is_alive "$run_pid" "$run_start"
}

# follow SEEN: print the events after the first SEEN until the run ends, then its stderr; exit as it did.
follow() {
  await_start
  if [ ! -s "$run/rc" ] && is_running "$run"; then
    follow_log "$1"
  else
    tail -n "+$(($1 + 1))" "$run/log"
  fi
  cat "$run/errors" >&2 2>/dev/null
  [ -s "$run/rc" ] || give_up attach 'the script on the host was killed' unknown
  exit "$(cat "$run/rc")"
}

# follow_log SEEN: print the log while its worker runs. It is read again after the process has ended, so that nothing
# is missed.
follow_log() {
  if tail --pid="$run_pid" -n 0 /dev/null 2>/dev/null; then
    tail -n "+$(($1 + 1))" -s 0.05 --pid="$run_pid" -f "$run/log" 2>/dev/null
    return
  fi
  lines_printed=$1 is_last=
  while [ -z "$is_last" ]; do
    is_running "$run" || is_last=yes
    lines=$(wc -l <"$run/log")
    [ "$lines" -le "$lines_printed" ] || sed -n "$((lines_printed + 1)),${lines}p" "$run/log"
    lines_printed=$lines
    [ -n "$is_last" ] || sleep 0.3
  done
}

# The worker needs a moment to write its pid.
await_start() {
  tries=0
  until [ -f "$run/pid" ] || [ -s "$run/rc" ] || [ "$tries" -ge 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
  done
}

# forget_old_runs: remove the runs that ended more than a day ago, and the payloads of runs that were killed.
forget_old_runs() {
  find "$runs" -mindepth 2 -maxdepth 2 -name rc -mtime +0 2>/dev/null | while IFS= read -r old; do rm -rf "${old%/rc}"; done
  for old in "$runs"/*/payload; do
    [ ! -f "${old%/payload}/pid" ] || is_running "${old%/payload}" || rm -rf "$old"
  done
}

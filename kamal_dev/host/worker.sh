#!/bin/sh
# The process that detach.sh leaves behind: worker.sh RUN SCRIPT [ARG]...
#
# Writes the exit code last: a reader that finds it has read all events.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"
trap '' HUP

# Each step has its own deadline; this one is for everything unforeseen.
run_within=21600

run=$1
script=$2
shift 2
printf '%s\n' "$$" "$(started_at $$)" >"$run/.pid" && mv "$run/.pid" "$run/pid"

# beat: say that the run is alive whenever its log was silent for some seconds, and end a script that has no end.
beat() {
  size=-1 beats=$((run_within / 5))
  while sleep 5 && kill -0 $$ 2>/dev/null; do
    seen=$size
    size=$(wc -c <"$run/log")
    [ "$size" != "$seen" ] || echo '{"type":"beat"}' >>"$run/log"
    beats=$((beats - 1))
    [ "$beats" != 0 ] || kill -s TERM "$working"
    [ "$beats" != -12 ] || kill -s KILL "$working"
  done
}

KAMAL_DEV_TOKEN=${run##*/} sh "$run/payload/$script" "$@" </dev/null >>"$run/log" 2>>"$run/errors" &
working=$!
beat 2>/dev/null &
beating=$!
wait "$working"
code=$?
kill "$beating" 2>/dev/null
rm -rf "$run/payload"
echo "$code" >"$run/.rc" && mv "$run/.rc" "$run/rc"

# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Repairs that Compose's `up` does not make. Sourced after observe.sh; runs nothing by itself.

# repair RELEASE: before `up`, undo manual changes to the containers in `found` of the release that was current.
# Containers that were up and are unchanged need not be observed again: sets settled, see watch.sh.
repair() {
  judge_stack "$1"
  settled=$(settled_already)
  printf '%s\n' "$problems" | while IFS='|' read -r id _ state reason; do
    case $state in
      paused) engine_unpause "$id" && { ! is_unhealthy "$id" || engine_restart "$id"; } ;;
      unhealthy) engine_restart "$id" ;;
      renamed) engine_rename "$id" "$(printf '%s\n' "$reason" | cut -d'`' -f2)" ;;
      stale) engine_restart "$id" ;;
      offline) remake "$id" ;;
      *) continue ;;
    esac >"$here/repair.log" 2>&1 || continue
    log "repaired $(service_of "$id"): $reason"
  done
}

# settled_already: print `id=started` of the containers in `found` that were up without problems.
settled_already() {
  [ ! -f "$home/baseline" ] || printf '%s\n' "$found" | problems=$problems awk '
    BEGIN { count = split(ENVIRON["problems"], lines, "\n"); for (i = 1; i <= count; i++) { split(lines[i], word, "|"); is_wrong[word[1]] } }
    FILENAME == ARGV[1] { if ($1 == "restarts") was_healthy[$2]; next }
    { split($0, field, "|") }
    field[3] == "running" && field[1] in was_healthy && !(field[1] in is_wrong) { print field[1] "=" field[8] }' "$home/baseline" - | tr '\n' ' '
}

# is_unhealthy ID: whether its last health check failed. For a container that was paused, that result is old and stays
# for a while.
is_unhealthy() { [ "$(engine_inspect health "$1")" = unhealthy ]; }

service_of() { printf '%s\n' "$found" | sed -n "s/^$1|\([^|]*\)|.*/\1/p"; }

# remake ID: let Compose recreate it, with the settings of its networks and its anonymous volumes.
remake() {
  cd "$home/current" && engine_up 120 --detach --no-deps --force-recreate "$(service_of "$1")" </dev/null
  cd /
}

# drop_leftovers RELEASE: after `up`, in the release's folder: remove the containers of services that it does not
# start, such as those of a disabled profile. Compose only removes containers whose service is in no file. Sets ids to
# the remaining containers.
drop_leftovers() {
  made=$(container_services)
  ids=$(printf '%s\n' "$made" | cut -d' ' -f1)
  cut -d'|' -f1 "$here/meta/started" >"$here/started" 2>/dev/null
  [ ! -s "$here/started" ] || [ -n "$(printf '%s\n' "$made" | not_started)" ] || return 0
  # shellcheck disable=SC2046 # services are words
  engine_services $(known "$1" services) >"$here/started"
  printf '%s\n' "$made" | not_started >"$here/leftovers"
  [ -s "$here/started" ] && [ -s "$here/leftovers" ] || return 0
  log "removing services $(cut -d' ' -f2 "$here/leftovers" | sort -u | paste -sd, - | sed 's/,/, /g'), not part of this release"
  # shellcheck disable=SC2046 # ids are words
  engine_remove $(cut -d' ' -f1 "$here/leftovers") >>"$here/up.log" 2>&1
  ids=$(container_ids)
}

# not_started: of the lines `id service` on stdin, print those whose service is not in `started`.
not_started() { awk 'FILENAME == ARGV[1] { started[$0]; next } NF && !($2 in started)' "$here/started" -; }

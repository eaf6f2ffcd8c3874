# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Repairs that Compose's `up` does not make. Sourced after observe.sh; runs nothing by itself.

# repair RELEASE: before `up`, undo manual changes to the containers in `found` of the release that was current.
# Containers that were up and are unchanged need not be observed again: sets settled, see watch.sh.
repair() {
  judge_stack "$1"
  settled=$(settled_already)
  [ -z "$problems" ] || printf '%s\n' "$problems" | while IFS='|' read -r id _ state reason; do
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
  while IFS='|' read -r id _ engine_state _ _ _ _ started _; do
    case $engine_state:$restarts_before in running:*" $id="*) ;; *) continue ;; esac
    case $newline$problems in *"$newline$id|"*) ;; *) printf '%s=%s ' "$id" "$started" ;; esac
  done <<END
$found
END
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
  ids='' is_left=''
  read_started
  while read -r id service; do
    [ -z "$id" ] || ids=$ids${ids:+$newline}$id
    case $started_services in *" $service "*) ;; *) is_left=$is_left$service ;; esac
  done <<END
$made
END
  [ -n "$is_left" ] || [ "$started_services" = ' ' ] || return 0
  # shellcheck disable=SC2046 # services are words
  engine_services $(known "$1" services) >"$here/started"
  printf '%s\n' "$made" | not_started >"$here/leftovers"
  [ -s "$here/started" ] && [ -s "$here/leftovers" ] || return 0
  log "removing services $(cut -d' ' -f2 "$here/leftovers" | sort -u | paste -sd, - | sed 's/,/, /g'), not part of this release"
  # shellcheck disable=SC2046 # ids are words
  engine_remove $(cut -d' ' -f1 "$here/leftovers") >>"$here/up.log" 2>&1
  ids=$(container_ids)
}

# read_started: set started_services to the services of the release, separated and surrounded by spaces.
read_started() {
  started_services=' '
  [ ! -f "$here/meta/started" ] || while IFS='|' read -r service _; do
    started_services="$started_services$service "
  done <"$here/meta/started"
}

# not_started: of the lines `id service` on stdin, print those whose service is not in `started`.
not_started() { awk 'FILENAME == ARGV[1] { started[$0]; next } NF && !($2 in started)' "$here/started" -; }

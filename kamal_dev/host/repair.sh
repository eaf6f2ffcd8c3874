# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# What Compose's `up` leaves as it is, though it is not what the release has. Sourced after observe.sh; runs nothing by itself.

# repair RELEASE: before `up`, bring back what was done to the containers of the release that was the current one.
repair() {
  look_at_stack || return 0
  weigh "$1"
  printf '%s\n' "$problems" | while read -r id kind why; do
    case $kind in
      paused) engine_unpause "$id" && { ! is_unhealthy "$id" || engine_restart "$id"; } ;;
      running) is_unhealthy "$id" && engine_restart "$id" ;;
      renamed) engine_rename "$id" "$(printf '%s\n' "$why" | cut -d'`' -f2)" ;;
      stale) engine_restart "$id" ;;
      offline) remake "$id" ;;
      *) continue ;;
    esac >"$here/repair.log" 2>&1 || continue
    log "$(service_of "$id"): $why"
  done
}

# is_unhealthy ID: whether its last health check failed. That of a container that was paused is of then, and stays for a while.
is_unhealthy() { [ "$(engine_inspect health "$1")" = unhealthy ]; }

service_of() { printf '%s\n' "$found" | sed -n "s/^$1|\([^|]*\)|.*/\1/p"; }

# remake ID: let Compose make it again, which knows all that a network needs to be told, and keeps anonymous volumes.
remake() {
  cd "$home/current" && engine_up 120 --detach --no-deps --force-recreate "$(service_of "$1")" </dev/null
  cd /
}

# drop_leftovers RELEASE: after `up`, in the release's folder: remove the containers of services that it does not start, such as those
# of a profile that was switched off. Compose removes those alone whose service is in no file any more.
drop_leftovers() {
  # shellcheck disable=SC2046 # services are words
  engine_services $(known "$1" services) >"$here/started"
  [ -s "$here/started" ] || return 0
  container_services |
    awk 'NR == FNR { started[$0] = 1; next } !($2 in started)' "$here/started" - >"$here/leftovers"
  [ -s "$here/leftovers" ] || return 0
  log "removing $(cut -d' ' -f2 "$here/leftovers" | sort -u | paste -sd, - | sed 's/,/, /g'), which this release does not have"
  # shellcheck disable=SC2046 # ids are words
  engine_remove $(cut -d' ' -f1 "$here/leftovers") >>"$here/up.log" 2>&1
}

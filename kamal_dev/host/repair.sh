# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# What Compose's `up` leaves as it is, though it is not what the release has. Sourced after standing.sh; runs nothing by itself.

# repair RELEASE: before `up`, bring back what was done to the containers of the release that was the current one.
repair() {
  look_at_stack || return 0
  weigh "$1"
  printf '%s\n' "$problems" | while read -r id kind why; do
    case $kind in
      paused) docker unpause -- "$id" && { ! is_unhealthy "$id" || docker restart -- "$id"; } ;;
      running) is_unhealthy "$id" && docker restart -- "$id" ;;
      renamed) docker rename -- "$id" "$(printf '%s\n' "$why" | cut -d'`' -f2)" ;;
      stale) docker restart -- "$id" ;;
      offline) remake "$id" ;;
      *) continue ;;
    esac >"$here/repair.log" 2>&1 || continue
    log "$(service_of "$id"): $why"
  done
}

# is_unhealthy ID: whether its last health check failed. That of a container that was paused is of then, and stays for a while.
is_unhealthy() { [ "$(docker inspect --type container --format '{{with .State.Health}}{{.Status}}{{end}}' -- "$1")" = unhealthy ]; }

service_of() { printf '%s\n' "$found" | sed -n "s/^$1|\([^|]*\)|.*/\1/p"; }

# remake ID: let Compose make it again, which knows all that a network needs to be told, and keeps anonymous volumes.
remake() {
  cd "$home/current" && docker_within 120 compose --ansi never --project-name "$stack" up --detach --no-build --pull never \
    --no-deps --force-recreate "$(service_of "$1")" </dev/null
  cd /
}

# drop_leftovers RELEASE: after `up`, in the release's folder: remove the containers of services that it does not start, such as those
# of a profile that was switched off. Compose removes those alone whose service is in no file any more.
drop_leftovers() {
  # shellcheck disable=SC2046 # services are words
  docker compose --project-name "$stack" config $(known "$1" services) 2>/dev/null |
    awk '/^services:/ { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [^ ]/ { gsub(/[ ":]/, ""); print }' >"$here/started"
  [ -s "$here/started" ] || return 0
  # shellcheck disable=SC2086 # the words are wanted
  docker ps --all --no-trunc --format '{{.ID}} {{.Label "com.docker.compose.service"}}' $own_containers |
    awk 'NR == FNR { started[$0] = 1; next } !($2 in started)' "$here/started" - >"$here/leftovers"
  [ -s "$here/leftovers" ] || return 0
  log "removing $(cut -d' ' -f2 "$here/leftovers" | sort -u | paste -sd, - | sed 's/,/, /g'), which this release does not have"
  # shellcheck disable=SC2046 # ids are words
  set -- $(cut -d' ' -f1 "$here/leftovers")
  docker_within 120 stop -- "$@" >>"$here/up.log" 2>&1
  docker rm --force -- "$@" >>"$here/up.log" 2>&1
}

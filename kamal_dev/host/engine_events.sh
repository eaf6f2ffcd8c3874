# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# What containers print, and what happens to them. Sourced after engine.sh; runs nothing by itself.

# --- logs

# engine_logs ID SINCE: print the last lines that a container printed.
engine_logs() {
  ! of_swarm || { engine logs --tail 20 -- "$1" 2>&1 || task_logs "$1"; return; }
  engine logs --tail 20 --since "$2" -- "$1" 2>&1
}

# engine_read_log ID FLAG...: print the whole log of a container, each line with its time; with --follow, for as long as it runs.
engine_read_log() {
  log_of=$1
  shift
  log_elsewhere=$(task_elsewhere "$log_of")
  [ -z "$log_elsewhere" ] || { task_read_log "$log_elsewhere" "$@"; return; }
  engine_within 31536000 logs --timestamps "$@" -- "$log_of"
}

# engine_log_sources: print `id stack service number oneoff name` of all containers of all Compose projects.
engine_log_sources() {
  engine ps --all --no-trunc --filter "label=$label_of.project" --format "{{.ID}} {{.Label \"$label_of.project\"}} {{.Label \"$label_of.service\"}} {{.Label \"$label_of.container-number\"}} {{.Label \"$label_of.oneoff\"}} {{.Names}}"
}

# --- events

# engine_starts SECONDS: print the same for each container started since then, until this is ended.
engine_starts() {
  engine_within 31536000 events --since "$1" --filter type=container --filter event=start --filter "label=$label_of.project" \
    --format "{{.Actor.ID}} {{index .Actor.Attributes \"$label_of.project\"}} {{index .Actor.Attributes \"$label_of.service\"}} {{index .Actor.Attributes \"$label_of.container-number\"}} {{index .Actor.Attributes \"$label_of.oneoff\"}} {{.Actor.Attributes.name}}"
}

# engine_signals: print `id signal` for each signal sent to a container of the stack, until this process is ended.
engine_signals() {
  engine_exec_with='exec'
  engine_within 900 events --since "$(date +%s)" --filter "label=$label_of.project=$stack" --filter event=kill \
    --format '{{.Actor.ID}} {{.Actor.Attributes.signal}}'
}

# last_exit_code ID: print the exit code of its last end; nothing if it did not end in the last half hour.
last_exit_code() {
  engine events --since 30m --until "$(date +%s)" --filter "container=$1" --filter event=die \
    --format '{{.Actor.Attributes.exitCode}}' 2>/dev/null | tail -n 1
}

# engine_happenings TIME: print `happened <project> <id> <action> <exit code>` (`health_status: <health>`) for what happens to containers
# from then on, with exit code 124 after a day. Must be called in the background.
engine_happenings() {
  engine_exec_with='exec'
  engine_within 86400 events --since "$1" --filter type=container --filter "label=$label_of.project" \
    --filter event=start --filter event=die --filter event=kill --filter event=oom --filter event=health_status \
    --format "happened {{index .Actor.Attributes \"$label_of.project\"}} {{.Actor.ID}} {{.Action}} {{.Actor.Attributes.exitCode}}"
}

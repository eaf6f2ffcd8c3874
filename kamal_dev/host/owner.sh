# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# The owner of a workspace. Sourced after confine.sh; runs nothing by itself.

# own_workspace USER: make USER of the main container the owner of a new workspace, or the container's own user if USER is
# empty. Retried later if the container is not up.
own_workspace() {
  [ -f "$home/unowned" ] || return 0
  if [ -n "${found:-}" ]; then find_main; else main_id=$(main_container); fi
  [ -n "$main_id" ] || return 0
  owner=$(owner_here "${1:-}")
  case $owner in *[!0-9:]* | *:*:* | :* | *: | '') return 0 ;; esac
  find_root 0:0
  if confine_alone 0:0 handover.sh "$home/workspace" "$(seen_by_root "$owner")" 2>"$here/handover.err"; then
    rm -f "$home/unowned"
  else
    log "could not give the workspace to ${1:-the user of the main container} (user ${owner%:*}): $(last_lines "$here/handover.err" 1)" >&"${lock_events:-1}"
  fi
  is_writable "${1:-}" ||
    log "the workspace is read-only for ${1:-the user} in the container: user $(stat -c %u "$home/workspace") owns it on the host" >&"${lock_events:-1}"
}

# owner_here USER: print the uid:gid on this host of USER in the main container; the engine may map ids.
# shellcheck disable=SC2016 # for the shell in the container
owner_here() {
  identity=$(engine_exec 60 "$1" "$main_id" sh -c '
    echo "$(id -u):$(id -g)"
    while read -r line; do echo "$line"; done </proc/self/uid_map
    while read -r line; do echo "$line"; done </proc/self/gid_map' </dev/null 2>/dev/null) || return 0
  printf '%s\n' "$identity" | sed 1d | mapped forth "$(printf '%s\n' "$identity" | head -n 1)"
}

# is_writable USER: whether USER can write to the workspace, as far as the main container mounts it.
is_writable() {
  seen_at=$(printf '%s\n' "${binds:-$(engine_inspect bind "$main_id")}" |
    awk -F'|' -v id="$main_id" -v home="$home/workspace" '$4 == id && index($6, home) == 1 { print $7; exit }')
  # shellcheck disable=SC2016 # for the shell in the container
  [ -z "$seen_at" ] || engine_exec 60 "$1" "$main_id" sh -c '[ -w "$0" ]' "$seen_at" </dev/null 2>/dev/null
}

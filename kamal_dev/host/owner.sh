# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# Whose the workspace is. Sourced after confine.sh; runs nothing by itself.

# own_workspace USER: give a new workspace to who works in the main container, to the container's own user where USER is
# empty; tried again while it is not up.
own_workspace() {
  [ -f "$home/unowned" ] || return 0
  main_id=$(main_container)
  [ -n "$main_id" ] || return 0
  # shellcheck disable=SC2016 # for the shell in the container
  owner=$(docker exec ${1:+--user "$1"} "$main_id" sh -c 'echo "$(id -u):$(id -g)"' 2>/dev/null) || return 0
  case $owner in *[!0-9:]* | *:*:* | :* | *: | '') return 0 ;; esac
  confine_alone 0:0 handover.sh "$home/workspace" "$owner" 2>/dev/null && rm -f "$home/unowned"
}

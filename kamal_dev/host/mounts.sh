# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Whether containers mount the folders of the workspace. Sourced after stack.sh; runs nothing by itself.
#
# The engine follows symbolic links as root, and users can replace a workspace folder by a link at any moment. Therefore the
# kernel's list of mounts is checked afterwards.

# stop_strays: kill the containers of `found` that mount a folder outside the workspace, and fail if there are any. Sets strays.
stop_strays() {
  found_strays=$(printf '%s\n' "$binds" | find_strays)
  [ -n "$found_strays" ] || return 0
  found_strays=$(printf '%s\n' "$found_strays" | sort -u)
  # shellcheck disable=SC2046 # ids are words
  engine_kill $(printf '%s\n' "$found_strays" | cut -d' ' -f1) >/dev/null 2>&1
  strays=$(printf '%s\n' "$found_strays" | cut -d' ' -f2 | paste -sd ' ' -)
  return 1
}

find_strays() {
  while IFS='|' read -r _ pid service id _ from to; do
    case $from in "$home/workspace" | "$home/workspace"/*) ;; *) continue ;; esac
    case $(mounted_at "$pid" "$to") in
      */"$stack"/workspace | */"$stack"/workspace/* | '') ;;
      *) echo "$id $service" ;;
    esac
  done
}

# mounted_at PID FOLDER: print what that process has mounted there, as a path in its file system; nothing if it has
# ended.
mounted_at() {
  mounted=$2
  case $mounted in *' '*) mounted=$(printf '%s' "$2" | sed 's/ /\\040/g') ;; esac
  MOUNTED=$mounted awk '$5 == ENVIRON["MOUNTED"] { root = $4 } END { print root }' \
    "/proc/$1/mountinfo" 2>/dev/null
}

# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Whether the workspace of a stack has work that exists nowhere else. Sourced after confine.sh; runs nothing by itself.

# find_work: set work to what would be lost with the workspace; empty if nothing would.
find_work() {
  work=''
  use_workspace none
  for work_folder in "$home/workspace"/* "$home/workspace"/.[!.]*; do
    [ -e "$work_folder" ] || [ -L "$work_folder" ] || continue
    [ -z "$(find "$work_folder" -prune -type d -empty 2>/dev/null)" ] || continue
    if is_known_clone; then find_work_in_clone
    else work="\`${work_folder##*/}\` is no git clone created by \`dev\`, so its changes are unknown"
    fi
    [ -z "$work" ] || return 0
  done
}

# is_known_clone: whether the folder is the clone about which the source is recorded.
is_known_clone() {
  [ -d "$work_folder" ] && [ ! -L "$work_folder" ] && [ -d "$source/parts" ] || return
  for work_part in "$source"/parts/*/; do
    [ "$(cat "$work_part/path")" = '' ] || continue
    git_folder=$(cat "$work_part/folder") && [ -d "$work_folder/$git_folder" ] && return
  done
  return 1
}

find_work_in_clone() {
  target=$work_folder
  rm -rf "$here/known" "$here/aside" "$here/plain"
  { cp -R "$source/parts" "$here/known" && cp "$source/withheld" "$here/withheld"; } || { work="could not write to $here"; return; }
  work=$(confine unsaved.sh "$target" 2>"$here/confined.err" | tr -d '\000-\037\177' | cut -b1-300)
  case $work in
    saved) work='' ;;
    '') work="could not read the workspace: $(last_lines "$here/confined.err" 1)" ;;
  esac
}

#!/bin/sh
# Exchange the contents of folders: swap.sh forth|back FILE
#
# Runs as root of the engine in a container (see parts.sh). FILE has a line for each folder: it, the one with its new content,
# and the one that its old content is kept in. `back` undoes `forth`, also where it was ended at any point, and can itself be run
# again then. The folders themselves stay, because containers have mounted them.
#   OLD.state   there from the first move to the last one back: `out` while the old content is on its way, `in` while the new is
set -u

arriving=.kamal-dev-arriving leaving=.kamal-dev-leaving

# mark STATE: record it on the disk, in the order of the moves.
mark() { echo "$1" >"$old.state.new" && sync && mv "$old.state.new" "$old.state" && sync; }

# entries FOLDER: print what is in it, each with a NUL.
entries() { find "$1" -mindepth 1 -maxdepth 1 ! -name "$arriving" ! -name "$leaving" -print0; }

# clear_up FOLDER...: remove what an interrupted move has left.
clear_up() {
  for each; do rm -rf "${each:?}/$arriving" "${each:?}/$leaving"; done
}

# move FROM TO: move what is in it. Wherever this is ended, what FROM still has is whole, and replaces what TO has by that name:
# part of a copy, or what a container has written since.
move() {
  clear_up "$1" "$2"
  remove_twins "$1" "$2" || return
  if can_rename "$1" "$2"; then entries "$1" | xargs -0r mv -t "$2" --
  else entries "$1" | xargs -0r -n 1 sh "$0" carry "$1" "$2"
  fi
}

# remove_twins FROM TO: remove what both have from TO. Only after an interruption there is any.
remove_twins() {
  for each in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    twin=$2/${each##*/}
    if is_there "$each" && is_there "$twin"; then rm -rf "$twin" || return; fi
  done
}

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

# can_rename FROM TO: whether the kernel can, which needs one mount for both.
can_rename() {
  mkdir "$2/$arriving" && : >"$2/$arriving/probe" && ln "$2/$arriving/probe" "$1/$leaving" 2>/dev/null
  set -- "$?" "$@"
  clear_up "$2" "$3"
  return "$1"
}

# carry FROM TO ENTRY: copy it, then let the copy take its place by renaming.
carry() {
  name=${3##*/}
  clear_up "$1" "$2"
  mkdir "$2/$arriving" && cp -a "$3" "$2/$arriving/" && sync && mv "$2/$arriving/$name" "$2/" && mkdir "$1/$leaving" &&
    mv "$3" "$1/$leaving/" && clear_up "$1" "$2"
}

# like FOLDER OTHER: give OTHER the owner and the mode of FOLDER.
like() { chown "$(stat -c %u:%g "$1")" "$2" && chmod "$(stat -c %a "$1")" "$2"; }

forth() {
  mkdir -p "$old" && like "$folder" "$old" && mark out && move "$folder" "$old" && mark in && move "$new" "$folder" || return
  # It is empty by now: this copies its attributes and access lists only.
  cp -aT "$new" "$folder" 2>/dev/null
  like "$new" "$folder"
}

back() {
  [ -f "$old.state" ] || return 0
  if [ "$(cat "$old.state")" = in ]; then find "$folder" -mindepth 1 -maxdepth 1 -exec rm -rf '{}' + && mark out || return; fi
  move "$old" "$folder" && like "$old" "$folder" && sync && rm -f "$old.state"
}

if [ "$1" = carry ]; then shift && carry "$@" && exit; exit 1; fi
code=0
while read -r folder new old; do
  # After a failure of `forth`, the caller runs `back`, which undoes as much as it can.
  case $1 in
    forth) forth || { code=1 && break; } ;;
    back) back || code=1 ;;
  esac
done <"$2"
sync
exit "$code"

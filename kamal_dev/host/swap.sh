#!/bin/sh
# Exchange the contents of folders: swap.sh forth|back FILE
#
# Runs as root of the engine in a container (see parts.sh). FILE has a line for each folder: it, the one with its new content,
# and the one that its old content is kept in. `back` undoes `forth`, also where that was not completed: OLD.state says how far
# it came. The folders themselves stay, because containers have mounted them.
set -u

move() { find "$1" -mindepth 1 -maxdepth 1 -exec mv -t "$2" '{}' +; }

# like FOLDER OTHER: give OTHER the owner and the mode of FOLDER.
like() { chown "$(stat -c %u:%g "$1")" "$2" && chmod "$(stat -c %a "$1")" "$2"; }

forth() {
  mkdir -p "$old" && like "$folder" "$old" && echo out >"$old.state" && move "$folder" "$old" && echo in >"$old.state" &&
    move "$new" "$folder" && like "$new" "$folder"
}

back() {
  [ -f "$old.state" ] || return 0
  [ "$(cat "$old.state")" = out ] || move "$folder" "$new" || return
  move "$old" "$folder" && like "$old" "$folder" && rm -f "$old.state"
}

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

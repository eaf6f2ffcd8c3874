#!/bin/sh
# Unpack the source into a workspace that is still empty: unpack.sh TARGET STAMP [force]
#
# Runs where nothing but the workspace and the payload can be reached (see jail.sh), as the owner of the workspace. A new folder
# appears whole or not at all, by rename. Prints `new` and the backup of the old content, `skipped`, `failed`, or the reason.
set -u
here=${0%/*}
target=$1 backup=${1%/*/*}/backups/$2
new=${1%/*}/.new.$2
is_empty() { [ -z "$(ls -A "$target" 2>/dev/null)" ]; }
# move_into FOLDER FROM: move the content, so that a folder mounted by a container stays the same folder.
move_into() { find "$2" -mindepth 1 -maxdepth 1 -exec mv -t "$1" '{}' +; }
answer() {
  echo "$1"
  exit
}

umask 022
is_empty || [ -n "${3:-}" ] || answer skipped
rm -rf "${1%/*}"/.new.*
if ! mkdir "$new" || ! tar -xzpf "$here/source.tar.gz" --no-same-owner -C "$new"; then
  rm -rf "$new"
  answer 'the source did not arrive; is the disk full?'
fi
if is_empty; then backup=''
elif [ -d "$target" ] && [ ! -L "$target" ]; then move_into "$backup" "$target" || answer failed
else mv "$target" "$backup/" || answer failed
fi
if [ -d "$target" ]; then
  move_into "$target" "$new" && rmdir "$new"
else
  mv -T "$new" "$target"
fi || answer failed
answer "new$backup"

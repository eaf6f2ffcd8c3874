#!/bin/sh
# Fill a workspace that is still empty: seed.sh STACK FOLDER PERFORMER [force], with a gzipped
# tar on stdin.
#
# What people have in a workspace is theirs: where FOLDER has anything in it, nothing is touched; with `force` it is put
# aside. Stands alone, because its stdin is the stream. A new folder appears whole or not at all, by rename.
# Events: `result` {ok, state, phase, reason, backup}.
set -u
home=$HOME/.kamal-dev/$1
target=$home/workspace/$2
backup=''

# finish OK STATE [REASON]: the reason is ours, and needs no escapes.
finish() {
  printf '{"type":"result","ok":%s,"state":"%s","phase":"workspace","reason":"%s","backup":"%s"}\n' "$1" "$2" "${3:-}" "$backup"
  [ "$1" = true ]
  exit
}
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi; }
is_empty() { [ -z "$(ls -A "$target" 2>/dev/null)" ]; }
# move_into FOLDER FROM: move everything, so that a folder that a container has mounted stays the same folder.
move_into() { as_root find "$2" -mindepth 1 -maxdepth 1 -exec mv -t "$1" '{}' +; }

trap '' HUP PIPE
(umask 077 && mkdir -p "$home") || finish false kept 'the folder of the stack cannot be made'
# What containers see of these files is their own business, so they are not private as their parent is.
umask 022
mkdir -p "$home/workspace" "$home/source" || finish false kept 'the folder of the workspace cannot be made'
if [ -z "${4:-}" ] && ! is_empty; then
  cat >/dev/null
  finish true left
fi
rm -rf "$home"/workspace/.new.*
new=$home/workspace/.new.$$
if ! mkdir "$new" || ! tar -xzpf - --no-same-owner -C "$new"; then
  rm -rf "$new"
  finish false kept 'the source did not arrive; is the disk full?'
fi
owner=$(stat -c %u:%g "$target" 2>/dev/null) || owner=
if ! is_empty; then
  backup=$home/backups/$(date -u +%Y%m%d-%H%M%S)
  { mkdir -p "$backup" && move_into "$backup" "$target"; } || finish false kept 'what is there could not be put aside'
  as_root chown -R "$owner" "$new" || finish false broken "what was there is in $backup"
else
  # The people in the container have another user id than we: apply gives it to them once it can ask who they are.
  : >"$home/unowned"
fi
rm -rf "$home/source"
mkdir "$home/source" && echo '{"kind":"sync"}' >"$home/source/state"
if [ -d "$target" ]; then
  move_into "$target" "$new" && as_root rmdir "$new"
else
  mv -T "$new" "$target"
fi || finish false broken 'the source could not be moved to its place'
printf '{"type":"workspace","at":"%s","by":"%s","ok":true,"state":"new","backup":"%s"}\n' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$3" "$backup" | (umask 077 && cat >>"$home/audit.log")
finish true new

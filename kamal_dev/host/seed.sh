#!/bin/sh
# Fill a workspace that is still empty: seed.sh STACK FOLDER, with a gzipped tar on stdin.
#
# What people have in a workspace is theirs: where FOLDER has anything in it, nothing is touched.
# Stands alone, because its stdin is the stream. A new folder appears whole or not at all, by rename.
set -u
home=$HOME/.kamal-dev/$1
target=$home/workspace/$2
(umask 077 && mkdir -p "$home") || exit 1
# What containers see of these files is their own business, so they are not private as their parent is.
umask 022
mkdir -p "$home/workspace" || exit 1
if [ -n "$(ls -A "$target" 2>/dev/null)" ]; then
  cat >/dev/null
  exit 0
fi
rm -rf "$home"/workspace/.new.*
new=$home/workspace/.new.$$
# The people in the container have another user id than we: apply gives it to them once it can ask who they are.
: >"$home/unowned"
if ! mkdir "$new" || ! tar -xzpf - --no-same-owner -C "$new"; then
  rm -rf "$new"
  exit 1
fi
[ -d "$target" ] || { mv -T "$new" "$target" && exit; }
# A container may have the empty folder mounted already: it must stay the same folder.
find "$new" -mindepth 1 -maxdepth 1 -exec mv -t "$target" '{}' + && rmdir "$new"

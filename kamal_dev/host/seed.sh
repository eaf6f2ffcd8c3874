#!/bin/sh
# Fill a workspace that is still empty: seed.sh STACK FOLDER [force]
#
# Files in a workspace belong to its users: if FOLDER is not empty, nothing is changed; with `force` its files are moved to a
# backup. Payload: meta/performer; fed with a compressed tar. Events: `result` {ok, state, phase, reason, backup}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"

# finish [BACKUP]: record that it was sent.
finish() {
  backup=''
  [ "$1" != "$home/backups/$stamp" ] || backup=$1
  [ -n "$backup" ] || [ "$owner" != "$caller" ] || : >"$home/unowned"
  rm -rf "$source"
  echo '{"kind":"sync"}' >"$here/state"
  { mkdir -p "$source" && keep_file "$here/state" "$source/state"; } || give_up workspace 'could not write the record' failed
  record workspace ok: true state new backup "$backup"
  emit result ok: true state new phase workspace backup "$backup"
  exit
}

begin "$@"
fed >"$here/source.tar.gz" || give_up workspace 'the source did not arrive; is the disk full?'
(umask 077 && mkdir -p "$home") || give_up workspace "could not create $home: $(why_not_written "$home")"
hold_stack workspace
yield_to_arrival
make_room || give_up workspace "could not create the folder of the workspace: $(why_not_written "$home")"
[ -z "$word" ] || mkdir -p "$home/backups/$stamp" || give_up workspace "could not create $home/backups"
learn_owner
answer=$(open=${word:+"$home/backups/$stamp"} && confine unpack.sh "$target" "$stamp" "$word" 2>"$here/confined.err")
code=$?
rmdir "$home/backups/$stamp" "$home/backups" 2>/dev/null
case $answer in
  new*) finish "${answer#new}" ;;
  skipped) emit result ok: true state skipped phase workspace ;;
  failed*) give_up workspace "could not move or replace the existing files; see $home/backups/$stamp" failed ;;
  *) give_up workspace "${answer:-"could not unpack the source: $(why_confined "$code" "$here/confined.err")"}" ;;
esac

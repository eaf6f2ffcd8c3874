#!/bin/sh
# Fill a workspace that is still empty: seed.sh STACK FOLDER [force]
#
# What people have in a workspace is theirs: where FOLDER has anything in it, nothing is touched; with `force` it is put
# aside. Payload: meta/performer; fed with a compressed tar. Events: `result` {ok, state, phase, reason, backup}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"

# finish [BACKUP]: remember that it was sent.
finish() {
  backup=''
  [ "$1" != "$home/backups/$stamp" ] || backup=$1
  [ -n "$backup" ] || [ "$owner" != "$caller" ] || : >"$home/unowned"
  rm -rf "$source"
  echo '{"kind":"sync"}' >"$here/state"
  { mkdir -p "$source" && keep_file "$here/state" "$source/state"; } || give_up workspace 'the record could not be written' broken
  record workspace ok: true state new backup "$backup"
  emit result ok: true state new phase workspace backup "$backup"
  exit
}

begin "$@"
fed >"$here/source.tar.gz" || give_up workspace 'the source did not arrive; is the disk full?'
(umask 077 && mkdir -p "$home") || give_up workspace "$home cannot be made: $(why_not_written "$home")"
hold_stack workspace
make_room || give_up workspace "the folder of the workspace cannot be made: $(why_not_written "$home")"
[ -z "$word" ] || mkdir -p "$home/backups/$stamp" || give_up workspace "$home/backups cannot be made"
learn_owner
told=$(open=${word:+"$home/backups/$stamp"} && confine unpack.sh "$target" "$stamp" "$word" 2>"$here/said")
code=$?
rmdir "$home/backups/$stamp" "$home/backups" 2>/dev/null
case $told in
  new*) finish "${told#new}" ;;
  left) emit result ok: true state left phase workspace ;;
  broken*) give_up workspace "what is there could not be put aside or replaced; see $home/backups/$stamp" broken ;;
  *) give_up workspace "${told:-"the source could not be unpacked: $(why_confined "$code" "$here/said")"}" ;;
esac

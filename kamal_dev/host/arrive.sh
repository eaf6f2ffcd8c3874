#!/bin/sh
# Unpack the records of a stack that is moved to this host: arrive.sh STACK TOKEN
#
# Fed with the output of carry.sh. The stack is none until `move.sh keep`, which removes the file `arriving`: other scripts do not
# list it, and the watcher does not start it. Payload: meta/performer. Events: `result` {ok, state, phase, reason}.
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"
# shellcheck source-path=SCRIPTDIR source=lifetime.sh
. "$here/lifetime.sh"

parcel=$here/parcel

# unpack: in a folder of this script. Nothing but files and folders is accepted, so that no name leads out of it.
unpack() {
  mkdir "$parcel" || give_up arrive "could not create a folder: $(why_not_written "$here")"
  { fed <&3 || echo no >"$here/cut"; } | gzip -dc 2>/dev/null | tar -xpf - --no-same-owner -C "$parcel" >/dev/null 2>"$here/unpack.err" ||
    give_up arrive "could not unpack the records: $(last_lines "$here/unpack.err" 1)"
  [ ! -f "$here/cut" ] || give_up arrive 'the records did not arrive completely'
  strange=$(find "$parcel" ! -type f ! -type d | head -n 1)
  [ -z "$strange" ] || give_up arrive "the records contain \`${strange#"$parcel"/}\`, which is no file"
  read_file "$parcel/current" && release=$content
  case ${release:-} in '' | .* | *[!A-Za-z0-9._-]*) give_up arrive 'the records name no release' ;; esac
  [ -s "$parcel/releases/$release/.kamal-dev/digest" ] || give_up arrive "the records lack the release \`$release\`"
}

# settle: move them to their places.
settle() {
  printf '%s\n' "$token" >"$here/token"
  keep_file "$here/token" "$home/arriving" && sync "$home" || return
  for each in releases source lifecycle lifetime stopped unowned alerts.log backups; do
    [ ! -e "$parcel/$each" ] || mv -T "$parcel/$each" "$home/$each" || return
  done
  if [ -f "$parcel/audit.log" ]; then
    cat "$home/audit.log" "$parcel/audit.log" 2>/dev/null | awk '!seen[$0]++' >"$here/audit" && keep_file "$here/audit" "$home/audit.log" || return
    chmod 600 "$home/audit.log"
  fi
  continue_lifetime && make_room && switch_to "$release" && sync
}

# sudo may read what a program it runs does not.
exec 3<&0 </dev/null
use_stack "$1"
token=$2
lock_stack move
trap unlock_stack EXIT
trap 'exit 143' INT TERM
if [ -d "$releases" ] || [ -d "$home/workspace" ]; then give_up arrive 'this host has a stack of that name'; fi
unpack
settle 2>"$here/settle.err" || give_up arrive "could not write the records: $(last_lines "$here/settle.err" 1)"
emit result ok: true state arrived phase arrive

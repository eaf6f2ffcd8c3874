#!/bin/sh
# Update a workspace to the source that was sent: workspace.sh STACK FOLDER [force]
#
# Payload: meta/performer, state (the record), withheld (paths that were not sent), parts/N/: path folder head branch index tree
#   names boundary is_cut config rules skipped needs (commits), and, if there are new objects, an empty file `packed` or `stored`.
# Fed with a pack for each `packed` and a tar of files for an object folder for each `stored`, in the order of the parts.
# Changes in the workspace are kept: its clone then only gets the new commits, as the remote branch kamal-dev/…. With `force`
# the changes are saved in the branch kamal-dev/backup-….
# Events: `result` {ok, state, phase, reason, backup}. `state` is the result for the workspace:
#   new      it was empty, and is a clone now      moved    it was updated to the source
#   skipped    it has changes: see reason            missing  it lacks the base of the source; all must be sent
#   untouched  nothing was changed: see reason      failed   it was updated in part
set -u
here=${0%/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=feed.sh
. "$here/feed.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$here/packages.sh"
# shellcheck source-path=SCRIPTDIR source=clone.sh
. "$here/clone.sh"
# shellcheck source-path=SCRIPTDIR source=owner.sh
. "$here/owner.sh"

conclude() {
  case $1 in new | moved) record workspace ok: true state "$1" backup "$backup" ;; esac
  emit result ok: true state "$1" phase workspace reason "${2:-}" backup "$backup"
  exit
}

# --- git on this host

# fail CODE REASON: what installing packages ends with.
# shellcheck disable=SC2317 # called by packages.sh
fail() { give_up workspace "git is required, but could not be installed: $2"; }

need_git() {
  ! command -v git >/dev/null 2>&1 || return 0
  command -v apt-get >/dev/null 2>&1 || fail system 'there is no apt-get'
  case $(privilege) in
    root | sudo) ;;
    *) fail privilege "\`$(id -un)\` is neither root nor allowed to use sudo without a password" ;;
  esac
  log 'Installing git'
  read_system
  refresh
  install_packages git
}

# take_packs: store the objects while they arrive; checkout.sh brings them to the clone.
take_packs() {
  for each in "$here"/parts/*/; do
    store=${each}store
    for came in packed stored; do
      [ -f "$each$came" ] || continue
      { mkdir -p "$store/objects" "$store/refs" && use_format "$store"; } || give_up workspace "could not write to $here"
      # The other end of the pipe detects a pack that was cut off, git a pack with wrong content.
      { fed || echo no >"$here/cut"; } | "take_$came" >/dev/null 2>"$here/errors" ||
        give_up workspace "the source did not arrive; is the disk full? ($(last_lines "$here/errors" 1))"
      [ ! -f "$here/cut" ] || give_up workspace 'the source did not arrive: the connection ended'
    done
  done
}

take_packed() { (p_git=$store && refs index-pack --stdin); }

# take_stored: these are as git has written them on the machine that sent them, therefore they are not indexed again.
take_stored() { tar -xpf - --no-same-owner -C "$store/objects"; }

# --- results

# finish STATE: record what was sent.
finish() {
  # `mv -T` renames, and follows no link.
  [ ! -d "$here/beside" ] || mv -T "$here/beside/clone" "$target" || give_up workspace 'could not move the clone into place'
  rm -rf "$source/parts" "$source/offered"
  { mv "$here/parts" "$source/parts" && keep_file "$here/state" "$source/state"; } ||
    give_up workspace 'could not write the record' failed
  [ "$1:$owner" != "new:$caller" ] || : >"$home/unowned"
  # A deploy changes the owner later, once its release is up.
  running=$(current_release)
  [ ! -f "$releases/$running/.kamal-dev/user" ] || own_workspace "$(known "$running" user)"
  conclude "$1"
}

# understand STATE BACKUP REASON: the confined script has read files of users, therefore its output is checked, not trusted.
understand() {
  case $2 in kamal-dev/backup-"$stamp" | "$home/backups/$stamp") backup=$2 ;; esac
  case $1 in
    new | moved) finish "$1" ;;
    skipped) keep_file "$here/state" "$source/offered" && conclude skipped "$3" ;;
    other) conclude skipped "$3" ;;
    missing) conclude missing ;;
    refused) give_up workspace "$3" ;;
    *) give_up workspace "$3" failed ;;
  esac
}

# can_move: whether a folder in $here could be moved to the place of a new workspace without following or copying anything that
# others may have put there. A hard link shows it: it is never a copy, as a move to another file system would be.
can_move() {
  [ ! -e "$target" ] && [ ! -L "$target" ] && [ "$owner" = "$caller" ] || return
  probe=$home/workspace/.probe.$stamp.$$
  ln -T "$here/state" "$probe" 2>/dev/null && rm -f "$probe"
}

# check_out: update the files, and handle the result.
check_out() {
  ! can_move || mkdir "$here/beside" || give_up workspace "could not write to $here"
  rm -rf "$here/known"
  [ ! -d "$source/parts" ] || cp -R "$source/parts" "$here/known" || give_up workspace "could not write to $here"
  [ -z "$word" ] || mkdir -p "$home/backups/$stamp" || give_up workspace "could not create $home/backups"
  answer=$(open=${word:+"$home/backups/$stamp"} && confine checkout.sh "$target" "$stamp" "$word" 2>"$here/confined.err")
  code=$?
  rmdir "$home/backups/$stamp" "$home/backups" 2>/dev/null
  [ -n "$answer" ] || give_up workspace "could not read the workspace: $(why_confined "$code" "$here/confined.err")"
  { read -r state; read -r left_in; read -r why; } <<END
$answer
END
  understand "$state" "$left_in" "$why"
}

begin "$@"
need_git </dev/null
take_packs
(umask 077 && mkdir -p "$home") || give_up workspace "could not create $home: $(why_not_written "$home")"
hold_stack workspace
yield_to_arrival
{ make_room && mkdir -p "$source" && keep_file "$here/withheld" "$source/withheld"; } || give_up workspace "could not write to $source: $(why_not_written "$source")"
learn_owner
check_out

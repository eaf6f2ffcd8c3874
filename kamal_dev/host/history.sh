# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Which releases a stack has had, and which of them were good. Sourced after stack.sh; runs nothing by itself.
#
# The time of `digest` is that of the last deploy of a release, the time of `good` when it was last seen healthy.

# by_age: print the ids of all releases, latest deploy first.
by_age() { latest_first digest; }

# last_good: print the id of the good release that was healthy most recently.
last_good() { latest_first good | first_good; }

latest_first() {
  # shellcheck disable=SC2012 # the names are ours
  ls -1t "$releases"/*/.kamal-dev/"$1" 2>/dev/null | while IFS= read -r each; do
    each=${each%/*/*}
    echo "${each##*/}"
  done
}

# good_before ID: print the id of the good release that was deployed before it.
good_before() {
  is_older=
  by_age | while IFS= read -r one; do
    [ -z "$is_older" ] || ! is_good "$one" || { echo "$one" && break; }
    [ "$one" != "$1" ] || is_older=yes
  done
}

# first_good: print the first good one of the ids on stdin.
first_good() {
  while IFS= read -r one; do
    if is_good "$one"; then echo "$one" && break; fi
  done
}

# last_failure: print the result of the last change of the stack as JSON if it failed; else `null`.
last_failure() {
  newest='' ended_as=''
  for each in "$releases"/*/.kamal-dev/result; do
    # shellcheck disable=SC3013 # dash and busybox have it
    [ ! -f "$each" ] || { [ -n "$newest" ] && [ ! "$each" -nt "$newest" ]; } || newest=$each
  done
  [ -z "$newest" ] || IFS= read -r ended_as <"$newest"
  case $ended_as in '{"type":"result","ok":false,'*'}') printf '%s\n' "$ended_as" ;; *) echo null ;; esac
}

# deployed_at ID: print when it was deployed last, UTC.
deployed_at() { date -u -r "$releases/$1/.kamal-dev/digest" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null; }

# carry FOLDER: store the data that a rollback to the release needs in addition to its files, and its performer.
# Arguments of lifecycle commands may be secrets, as in `.env`: only the user can read the release.
carry() {
  (cd "$here/meta" && cp version commit images built workspace user performer services started networks parts "$1/") || return
  [ ! -d "$1/lifecycle" ] || rm -rf "$1/exec" "$1/lifecycle" || return
  [ ! -d "$here/lifecycle" ] || cp -R "$here/lifecycle" "$here/exec" "$1/"
}

# take_along ID: copy the stored data of a release to where exec.sh, lifecycle.sh, owner.sh, replace.sh and watch.sh look for it.
take_along() {
  carried=$releases/$1/.kamal-dev
  rm -rf "$here/exec" "$here/lifecycle" "$here/meta/user" "$here/meta/started"
  [ -d "$here/meta" ] || mkdir "$here/meta"
  set -- "$1"
  for kept in user started; do [ ! -f "$carried/$kept" ] || set -- "$@" "$carried/$kept"; done
  shift
  [ $# -eq 0 ] || cp "$@" "$here/meta/"
  [ ! -d "$carried/lifecycle" ] || cp -R "$carried/lifecycle" "$carried/exec" "$here/"
}

# shellcheck shell=sh disable=SC2154 # variables cross the files that source each other
# Pull images, with a login that is not stored. Sourced after engine.sh; runs nothing by itself.
#
#   payload: registry/server registry/username registry/password   (0600; missing if no login is needed)

# shellcheck source-path=SCRIPTDIR source=engine_images.sh
. "$here/engine_images.sh"

pull_deadline=1800
pulls_at_once=3

# log_in: log in to the payload's registry, with a configuration that forget_login removes.
log_in() {
  [ -f "$here/registry/password" ] || return 0
  login_server=$(cat "$here/registry/server")
  login_user=$(cat "$here/registry/username")
  registry_login "$here/login" "$login_server" "$login_user" <"$here/registry/password" >/dev/null 2>"$here/login.err"
  set -- $?
  rm -f "$here/registry/password"
  [ "$1" = 0 ] || echo "login to $login_server as \`$login_user\` failed: $(last_lines "$here/login.err" 1)" >"$here/pull.failed"
  return "$1"
}

forget_login() { [ ! -d "$here/registry" ] || rm -rf "$here/login" "$here/registry"; }

# missing_images [IMAGE]...: print the images that the engine does not have.
missing_images() {
  # One call is enough if all exist.
  # shellcheck disable=SC2046 # references have no spaces
  [ $# -gt 0 ] && ! has_images $(for image; do pinned "$image"; done) || return 0
  for image; do has_exactly "$image" || printf '%s\n' "$image"; done
}

# has_exactly IMAGE: whether it exists; for `name:tag@digest` exactly that image, even if the tag points to another
# one.
has_exactly() { has_images "$(pinned "$1")"; }

# pinned IMAGE: print it as a release runs it: without the tag if it has a digest.
pinned() {
  case $1 in *@*) ;; *) echo "$1"; return ;; esac
  pinned_name=${1%@*}
  case ${pinned_name##*/} in *:*) pinned_name=${pinned_name%:*} ;; esac
  echo "$pinned_name@${1##*@}"
}

# await_removal: wait until nobody removes images of this host. An image that a release on the disk names is not removed later.
await_removal() {
  command -v flock >/dev/null 2>&1 || return 0
  exec 8<"$base" && wait_for_lock 120 8
  exec 8<&-
}

# pull_all [IMAGE]...: pull them, some at the same time. Fails if a pull failed; the file
# `pull.failed` has the images and reasons.
pull_all() {
  : >"$here/pull.failed"
  [ $# -gt 0 ] || return 0
  log_in || return
  show_bytes &
  showing_bytes=$!
  if [ $# = 1 ]; then (pull_one "$1" "${login_server:-}")
  else printf '%s\n' "$@" | xargs -P "$pulls_at_once" -I '{}' sh "$here/pull.sh" --one '{}' "${login_server:-}"
  fi
  set -- $?
  kill "$showing_bytes" 2>/dev/null
  forget_login
  return "$1"
}

# show_bytes: report every second how much has arrived, until this script ends or stops it.
show_bytes() {
  while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    # shellcheck disable=SC2046 # two numbers
    set -- $(pulled_bytes "$here"/pull.??????)
    [ $# = 0 ] || emit arrived current: "$1" ${2:+total: "$2"}
  done
}

# pull_one IMAGE SERVER: pull it, logged in if it is from SERVER, and print the result.
pull_one() {
  clock
  pull_started=$now
  pull_log=$(mktemp "$here/pull.XXXXXX") || return 1
  [ "$(image_server "$1")" != "$2" ] || use_login "$here/login"
  # Pulled by tag, because pruning images on the host removes untagged ones.
  case $1 in *:*@*) by_tag=${1%@*} ;; *) by_tag=$1 ;; esac
  try_pull "$by_tag" >"$pull_log" 2>&1
  pull_code=$?
  # The pull reports a digest; another digest under this tag may still be the same image.
  [ "$pull_code" != 0 ] || grep -qF "Digest: ${1#*@}" "$pull_log" || has_exactly "$1" || pull_exactly "$1" >>"$pull_log" 2>&1 || pull_code=1
  clock
  pull_reason=
  case $pull_code in
    0) pull_ok=true ;;
    124) pull_ok=false pull_reason="timed out after $pull_deadline s" ;;
    *) pull_ok=false pull_reason=$(last_drawn "$pull_log") ;;
  esac
  # The platforms of the project's own images were checked before.
  pull_platform=
  grep -qxF -- "$1" "$here/meta/built" 2>/dev/null || pull_platform=$(image_inspect platform "$by_tag")
  emit image image "$1" ok: "$pull_ok" platform "$pull_platform" seconds: "$(seconds $((now - pull_started)))" reason "$pull_reason"
  [ "$pull_ok" = true ] || printf '%s: %s\n' "$1" "$pull_reason" >>"$here/pull.failed"
  return "$pull_code"
}

# last_drawn LOG: print the last line of a log that may have been written to a terminal.
last_drawn() { tr '\r' '\n' <"$1" | sed "s/$(printf '\033')\[[0-9;]*[A-Za-z]//g" | grep . | last_lines - 1; }

# pull_exactly NAME:TAG@DIGEST: pull by digest, and add the tag, if the registry's tag has moved.
pull_exactly() {
  image_pull --quiet -- "$(pinned "$1")" && image_tag "$(pinned "$1")" "${1%@*}"
}

# retag RELEASE: make the tags of its images point to them again. Releases of kamal-dev before 0.5 run images by tag.
retag() {
  for image in $(known "$1" images); do
    case $image in *:*@*) image_tag "$(pinned "$image")" "${image%@*}" ;; esac
  done >/dev/null 2>&1
}

# A registry behind the SSH connection may answer shortly after the tunnel reports that it is open.
try_pull() {
  image_pull -- "$1" && return
  pull_error=$?
  case $(image_server "$1"):$pull_error in
    *:124) return 124 ;;
    localhost:* | 127.*) sleep 1 && image_pull -- "$1" ;;
    *) return "$pull_error" ;;
  esac
}

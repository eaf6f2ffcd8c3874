#!/bin/sh
# Take images from stdin, as `docker save` writes them, plain or compressed: load.sh
#
# Stands alone, because stdin is the stream itself. Events: `result` {ok, phase, reason}.
set -u
umask 077
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
said=$(mktemp "${TMPDIR:-/tmp}/kamal-dev.XXXXXX") || exit 1
trap 'rm -f "$said"' EXIT
trap 'exit 143' HUP INT PIPE TERM

set -- docker image load --quiet
[ "$(id -u)" = 0 ] || [ -w /var/run/docker.sock ] || set -- sudo -n -- "$@"
if timeout 3600 "$@" >"$said" 2>&1; then
  echo '{"type":"result","ok":true,"phase":"load"}'
else
  # What remains of the stream is read, so that the sender ends with this answer and not with a broken pipe.
  cat >/dev/null
  reason=$(tail -n 3 "$said" | tr '\n' ';' | tr -d '\000-\037' | sed -e 's/["\]//g' -e 's/;$//')
  printf '{"type":"result","ok":false,"phase":"load","reason":"%s"}\n' "$reason"
  exit 1
fi

#!/bin/sh
# Copy volumes: copy.sh KEY...
#
# Runs as root of the engine in a container (see parts.sh), which has them at /copy/from/KEY, and the new ones at /copy/to/KEY. What
# the new ones have from images is removed first. Prints how many bytes were written so far, every second.
set -u

# tell PROCESS BYTES: print how many it has written, and BYTES.
tell() {
  while sleep 1; do
    awk -v before="$2" '/^wchar/ { printf "%.0f\n", $2 + before }' "/proc/$1/io" 2>/dev/null
  done
}

# sizes: print how many bytes the new volumes take.
sizes() { du -sk /copy/to | awk '{ printf "%.0f", $1 * 1024 }'; }

# copy KEY
copy() {
  find "/copy/to/$1" -mindepth 1 -maxdepth 1 -exec rm -rf '{}' + || return
  # shellcheck disable=SC2086 # flags are words
  cp $flags "/copy/from/$1/." "/copy/to/$1/" &
  copying=$!
  tell "$copying" "$(sizes)" &
  telling=$!
  wait "$copying"
  set -- "$?"
  kill "$telling" 2>/dev/null
  return "$1"
}

flags=-a
# Where the file system can, a copy shares its blocks with the original until one of them changes.
! cp --help 2>&1 | grep -q reflink || flags='-a --reflink=auto'
for key; do copy "$key" || exit; done
sync
sizes
echo

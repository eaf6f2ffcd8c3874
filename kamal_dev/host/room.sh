# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Whether there is enough disk space to pull images. Sourced after images.sh; runs nothing by itself.
#
# Payload: meta/layers (one per line: the id of the unpacked layer, and the bytes to pull; empty if unknown).
#   ~/.kamal-dev/.pulling/<stack>   the `process:start` that pulls images for a stack, then their layers: several stacks that are
#                                   deployed at the same time must fit together

# Layers are compressed, unpack to 2 to 2.5 times their size, and both versions exist for a while.
unpacking=3
pulling=$base/.pulling

# has_room: whether the disk of the engine has enough free space for these layers and those that other stacks are pulling.
# Sets no_room if not; otherwise other stacks count these layers until leave_room.
# Existing layers are only looked up if there is not enough space for all.
has_room() {
  [ -s "$here/meta/layers" ] || return 0
  root=$(sed -n 4p "$engine_known" 2>/dev/null)
  root=${root:-$engine_folder}
  [ -d "$root" ] || return 0
  exec 8<"$base" && wait_for_lock 120 8
  read_pulling
  free=$(df -Pk "$root" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
  : >"$here/held"
  if fits || { image_layers >"$here/held" && fits; }; then take_room; else
    no_room="images need about $(amount "$needed")${pulling_stacks:+, with those of other stacks that are being deployed}, and $root has $(amount "$free") free"
  fi
  exec 8<&-
  [ -z "$no_room" ]
}

# fits: set needed to the size of the layers that the host does not have, each once.
fits() {
  no_room=''
  needed=$(awk -v times="$unpacking" 'FILENAME == ARGV[1] { held[$1] = 1; next } !($1 in held) { held[$1] = 1; sum += $2 } END { printf "%.0f", sum * times }' \
    "$here/held" "$here/meta/layers" "$here/pulling")
  awk -v needed="$needed" -v free="$free" 'BEGIN { exit !(needed <= free) }'
}

# read_pulling: write the layers that other stacks are pulling to `pulling`, and set pulling_stacks to their number. What an
# interrupted script has left is removed.
read_pulling() {
  : >"$here/pulling"
  pulling_stacks=0
  for pulled_for in "$pulling"/*; do
    if [ ! -f "$pulled_for" ] || [ "${pulled_for##*/}" = "$stack" ]; then continue; fi
    read -r puller <"$pulled_for"
    is_there "$puller" || { rm -f "$pulled_for" && continue; }
    sed 1d "$pulled_for" >>"$here/pulling" && pulling_stacks=$((pulling_stacks + 1))
  done
  [ "$pulling_stacks" -gt 0 ] || pulling_stacks=
}

take_room() {
  [ -d "$pulling" ] || mkdir -p "$pulling"
  { echo "$$:$lock_start" && cat "$here/meta/layers"; } >"$pulling/$stack"
}

leave_room() { discard "$pulling/$stack"; }

# amount BYTES: print a size for people.
amount() { awk -v n="$1" 'BEGIN { if (n >= 1e9) printf "%.1f GB", n / 1e9; else printf "%.0f MB", n / 1e6 }'; }

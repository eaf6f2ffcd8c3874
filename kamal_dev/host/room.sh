# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Whether there is enough disk space to pull images. Sourced after images.sh; runs nothing by itself.
#
# Payload: meta/layers (one per line: the id of the unpacked layer, and the bytes to pull; empty if unknown).

# Layers are compressed, unpack to 2 to 2.5 times their size, and both versions exist for a while.
unpacking=3

# has_room: whether the disk of the engine has enough free space. Sets no_room if not.
# Existing layers are only looked up if there is not enough space for all.
has_room() {
  [ -s "$here/meta/layers" ] || return 0
  root=$(sed -n 4p "$engine_known" 2>/dev/null)
  root=${root:-$engine_folder}
  [ -d "$root" ] || return 0
  free=$(df -Pk "$root" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
  : >"$here/held"
  fits || { image_layers >"$here/held" && fits; } || {
    no_room="images need about $(amount "$needed"), and $root has $(amount "$free") free"
    return 1
  }
}

# fits: set needed to the size of the layers that the host does not have.
fits() {
  needed=$(awk -v times="$unpacking" 'FILENAME == ARGV[1] { held[$1] = 1; next } !($1 in held) { sum += $2 } END { printf "%.0f", sum * times }' \
    "$here/held" "$here/meta/layers")
  awk -v needed="$needed" -v free="$free" 'BEGIN { exit !(needed <= free) }'
}

# amount BYTES: print a size for people.
amount() { awk -v n="$1" 'BEGIN { if (n >= 1e9) printf "%.1f GB", n / 1e9; else printf "%.0f MB", n / 1e6 }'; }

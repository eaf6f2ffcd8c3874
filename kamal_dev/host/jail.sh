#!/bin/sh
# Run a script that can only access some folders of this host: jail.sh HERE OWNER SECONDS CALLER JAIL [FOLDER]... -- SCRIPT [ARG]...
#
# Started by root as the first process of namespaces of its own (see confine.sh). The script sees the programs of the host,
# read-only, and HERE and the FOLDERs, which people may have filled with links, pipes and devices: links lead nowhere, devices
# do not open. It runs as OWNER (uid:gid; `-` as it is started) without capabilities, and ends after SECONDS, when it waits
# for something that does not come, and when CALLER (process:start) is gone. Exit code: 124, 125, 143, or the script's.
set -u
here=$1 owner=$2 seconds=$3 caller=$4 jail=$5
shift 5
root=$jail/root
stall=20
umask 022

# bind FOLDER OPTIONS: without root, the options cannot always be changed, but then there are no devices to open
# either.
bind() {
  mkdir -p "$root$1" && mount -o bind "$1" "$root$1" || return
  mount -o "remount,bind,$2" "$root$1" 2>/dev/null || [ "$owner" = - ]
}

device() { : >"$root/dev/$1" && mount -o bind "/dev/$1" "$root/dev/$1"; }

make_jail() {
  mount --make-rprivate / && mount -t tmpfs -o mode=755,size=1m kamal-dev "$jail" && mkdir "$root" "$jail/proc" &&
    mount -t proc proc "$jail/proc" && mkdir "$root/dev" "$root/etc" && device null && device urandom || return
  for each in /bin /sbin /lib /lib32 /lib64 /libx32 /usr /nix /gnu /etc/alternatives; do
    if [ -L "$each" ]; then ln -s "$(readlink "$each")" "$root$each"
    elif [ -d "$each" ]; then bind "$each" ro,nosuid,nodev
    fi || return
  done
  [ ! -f /etc/ld.so.cache ] || cp /etc/ld.so.cache "$root/etc/"
  # For implementations of `su` that need a user name.
  [ "$owner" = - ] || echo "owner:x:${owner%:*}:${owner#*:}::/:/bin/sh" >"$root/etc/passwd"
}

started_at() {
  stat_line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086 # the words are wanted
  set -- ${stat_line##*) }
  [ "$1" != Z ] && echo "${20}"
}

# progress: print what the script has done so far; `busy` if it is working or stopped, not waiting.
progress() {
  cat "$jail"/proc/[0-9]*/stat 2>/dev/null | awk -v session="$child" '
    { pid = $1; sub(/^.*\) /, "") } $4 == session { if ($1 !~ /[SZ]/) busy = 1; sum += pid + $12 + $13 + $14 + $15 }
    END { print busy ? "busy" : sum }'
}

# watch: signal the first process when the script has to end.
watch() {
  waited=0 before=''
  while sleep 1; do
    seconds=$((seconds - 1))
    [ "$(started_at "${caller%:*}")" = "${caller#*:}" ] || kill -s TERM 1
    [ "$seconds" -gt 0 ] || kill -s USR1 1
    seen=$(progress)
    if [ "$seen" = busy ] || [ "$seen" != "$before" ]; then waited=0; else waited=$((waited + 1)); fi
    before=$seen
    [ "$waited" -lt "$stall" ] || kill -s USR2 1
  done
}

# enter SCRIPT [ARG]...: become the script.
enter() {
  set -- env -i "PATH=$PATH" "HOME=$here" "TMPDIR=$here" KAMAL_DEV_CONFINED=yes sh "$@"
  if [ "$owner" = - ]; then
    exec setsid chroot "$root" "$@"
  elif setpriv --reuid 0 --regid 0 --clear-groups true 2>/dev/null; then
    exec setsid chroot "$root" setpriv --reuid "${owner%:*}" --regid "${owner#*:}" --clear-groups --no-new-privs \
      --inh-caps=-all --bounding-set=-all,+chown,+dac_override,+fowner -- "$@"
  elif chroot --userspec="$owner" --groups= / true 2>/dev/null; then
    exec setsid chroot --userspec="$owner" --groups= "$root" "$@"
  fi
  # BusyBox has neither of them, and root does not need them.
  [ "$owner" != 0:0 ] || exec setsid chroot "$root" "$@"
  # shellcheck disable=SC2016 # for the shell that su starts
  exec setsid chroot "$root" su -s /bin/sh owner -c 'exec "$@"' sh "$@"
}

set_up() {
  [ "$owner" = - ] || chown -hR "$owner" "$here" || return
  make_jail || return
  bind "$here" nosuid,nodev,noexec
}

set_up || exit 126
while [ "$1" != -- ]; do
  bind "$1" nosuid,nodev,noexec || exit 126
  shift
done
shift
mount -o remount,ro "$jail" 2>/dev/null || [ "$owner" = - ] || exit 126
cd / || exit 126
code=''
trap 'code=${code:-143}' TERM INT
trap 'code=${code:-124}' USR1
trap 'code=${code:-125}' USR2
enter "$@" </dev/null &
child=$!
watch >/dev/null 2>&1 &
wait "$child"
ended=$?
# The end of the first process ends all others in its namespace.
exit "${code:-$ended}"

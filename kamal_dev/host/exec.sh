# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Run programs in the main container of a stack, as those who work in it would. Sourced after stack.sh; runs nothing by itself.
#
# Payload: meta/user (empty: the container's own), and what a session needs: exec/probe (flags of the user's shell
#   that make it read its files, empty for none), exec/before and exec/after (shell text around what the shell said).
# Environments and scripts go in by stdin, so that no process on the host has them as arguments.

probe_within=15

# find_main: set main_id and main_started to those of the main container in `found`; empty if it does not run.
find_main() {
  # shellcheck disable=SC2046 # the words are wanted
  set -- $(printf '%s\n' "$found" | awk -F'|' '$3 == "running" && $9 == "true" { last = $1 " " $8 } END { print last }')
  main_id=${1:-} main_started=${2:-}
  read_file "$here/meta/user"
  working_user=$content
}

# in_main SECONDS FILE: run the shell script on stdin there. FILE gets the number of its process group in the
# container, then what the engine itself says. Ends with the script's exit code, 124 when the time is over.
in_main() {
  { echo 'echo "$$" >&2; exec 2>&1' && cat; } |
    engine_exec "$1" "$working_user" "$main_id" /bin/sh 2>"$2"
  set -- "$?" "$2"
  [ "$1" != 124 ] || end_in_main "$2"
  return "$1"
}

# end_in_main FILE: end what in_main started and all its children. They would keep running after the client ends.
end_in_main() {
  read -r group <"$1" || return 0
  case $group in '' | *[!0-9]*) return 0 ;; esac
  # shellcheck disable=SC2016 # for the shell in the container
  engine_exec 60 0 "$main_id" /bin/sh -c \
    'kill -TERM "-$0" && sleep 3 && kill -KILL "-$0"' "$group" </dev/null >/dev/null 2>&1
}

# --- the environment of a session

# The shell may print anything first: the output that counts is between two marks. Records end with NUL.
# shellcheck disable=SC2016 # for the shell in the container
ask_shell='
printf "%s\\0" "$(id -u)" "$PATH"
kamal_dev_shell=/bin/sh
while IFS=: read -r _ _ kamal_dev_uid _ _ _ kamal_dev_found; do
  [ "$kamal_dev_uid" != "$(id -u)" ] || { kamal_dev_shell=${kamal_dev_found:-/bin/sh}; break; }
done </etc/passwd
exec "$kamal_dev_shell" "$kamal_dev_flags" "printf \"\\0$kamal_dev_mark\\0\"; cat /proc/self/environ; printf \"$kamal_dev_mark\\0\"" \
  </dev/null 2>/dev/null
'

# Records become lines, and newlines in them \001. Prints a line of shell for each variable.
# A login shell often forgets the PATH of the image: its folders are added again, each after the one it followed in the image.
# shellcheck disable=SC2016 # for awk
environment_awk='
function with_paths(shell, image,   list, n, parts, m, i, j, at) {
  n = split(shell, list, ":"); m = split(image, parts, ":"); at = 0
  for (i = 1; i <= m; i++) {
    for (j = 1; j <= n && list[j] != parts[i]; j++);
    if (j <= n) { at = j; continue }
    if (uid != 0 && parts[i] ~ /\/sbin(\/|$)/) continue
    for (j = n++; j > at; j--) list[j + 1] = list[j]
    list[++at] = parts[i]
  }
  shell = list[1]
  for (i = 2; i <= n; i++) shell = shell ":" list[i]
  return shell
}
NR == 1 { uid = $0; next }
NR == 2 { image_path = $0; next }
$0 == mark { inside = !inside; next }
!inside || !/^[A-Za-z_][A-Za-z0-9_]*=/ { next }
{
  name = substr($0, 1, index($0, "=") - 1); value = substr($0, index($0, "=") + 1)
  if (name ~ /^(_|PWD|OLDPWD|SHLVL|PPID|UID|EUID|BASHOPTS|SHELLOPTS|BASH_VERSINFO)$/) next
  if (name == "PATH") value = with_paths(value, image_path)
  gsub(/\047/, "\047\\\047\047", value)
  print name "=\047" value "\047; export " name
}'

# learn_environment FOLDER: set environment to a file in FOLDER, 0600, with the environment of the user's shell, as
# shell text. The shell runs once; if it does not answer in time, the environment is empty.
learn_environment() {
  flags=$(cat "$here/exec/probe" 2>/dev/null)
  environment=$1/environment-${working_user:-}$flags
  [ ! -f "$environment" ] || return 0
  : >"$environment"
  [ -n "$flags" ] || return 0
  mark=kamal-dev-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
  printf 'kamal_dev_flags=%s\nkamal_dev_mark=%s\n%s' "$flags" "$mark" "$ask_shell" |
    in_main "$probe_within" "$here/probe.err" >"$here/probe.out"
  tr '\000\n' '\n\001' <"$here/probe.out" | awk -v mark="$mark" "$environment_awk" | tr '\001' '\n' >"$environment"
  rm -f "$here/probe.out"
  [ -s "$environment" ] || log "could not read the environment of the user's shell; using that of the container"
}

# session [FILE]: print the shell text that starts a session: environment, then workspace. FILE is read while the
# container's own environment is still in place. Call learn_environment first.
session() {
  cat "$here/exec/before" ${1:+"$1"} "$environment" "$here/exec/after"
}

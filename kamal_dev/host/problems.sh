# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# The problems of a stack and its host that people are notified of: `<key>|<state>|<events>|<reason>`, see incidents.sh. Sourced by
# watcher.sh after observe.sh and notify.sh; runs nothing by itself.

# containers_amiss: print `<service>|<state>|<id>|<reason>` of containers with problems, without those stopped on
# purpose.
containers_amiss() {
  printf '%s\n' "$problems" | rows=$found awk -F'|' '
    BEGIN {
      n = split(ENVIRON["rows"], rows, "\n")
      for (i = 1; i <= n; i++) { split(rows[i], words, "|"); service[words[1]] = words[2] }
    }
    $3 !~ /^(unhealthy|restarting|restarted|crash loop|exited [0-9]+|missing|dead|paused)$/ { next }
    $3 == "missing" { print $4 "|missing|" $1 "|its container is missing"; next }
    { print service[$1] "|" $3 "|" $1 "|" substr($0, length($1 $2 $3) + 4) }'
}

# with_events: turn problems of containers into problems of services, and count the events; after a restart, only the
# events tell the exit code and whether memory ran out.
with_events() {
  happened=$happened awk -F'|' '
    BEGIN {
      n = split(ENVIRON["happened"], lines, "\n")
      for (i = 1; i <= n; i++) {
        split(lines[i], words, " ")
        if (words[2] == "die" || words[3] == "unhealthy") times[words[1]]++
        if (words[2] == "die" && words[3] ~ /^[0-9]+$/) code[words[1]] = words[3]
        if (words[2] == "oom") full[words[1]] = 1
      }
    }
    {
      reason = $4
      if ((($3) in code) && reason !~ /exit/) reason = reason ", last exit code " code[$3]
      if ($3 in full) reason = "out of memory: " reason
      if ($1 in word) { count[$1] += times[$3]; next }
      word[$1] = $2; why[$1] = reason; count[$1] = times[$3] + 0
    }
    END { for (name in word) print "container " name "|" word[name] "|" count[name] "|" why[name] }'
}

# disk_amiss: print the problem of a disk that is fuller than the limit in dev.yml.
disk_amiss() {
  speaks_for_host || return 0
  limit=$(setting disk 90)
  root=$(sed -n 4p "$engine_known" 2>/dev/null)
  set -- "$home"
  [ ! -d "${root:-$engine_folder}" ] || set -- "$home" "${root:-$engine_folder}"
  df -Pk "$@" | awk -v limit="$limit" -v host="$(uname -n)" 'NR > 1 && $5 + 0 >= limit && !found++ {
    print "disk|disk|0|" $6 " on " host " is " $5 " full; `notify.disk` is " limit "%"
  }'
}

# speaks_for_host: of the stacks of this host that notify the same people, the first one reports problems of the host.
speaks_for_host() {
  for each in $(all_stacks); do
    [ "$each" != "$stack" ] || return 0
    each_notify=$base/$each/current/kamal-dev.notify
    [ -s "$base/$each/current/.kamal-dev/good" ] || continue
    if [ -f "$each_notify" ]; then ! cmp -s "$each_notify" "$home/current/kamal-dev.notify"; else [ -f "$home/current/kamal-dev.notify" ]; fi || return
  done
}

# start_amiss: print the problem of a failed postStartCommand.
start_amiss() {
  { read -r resumed; read -r resumed_why; } 2>/dev/null <"$home/lifecycle/resumed" || return 0
  [ -z "$resumed_why" ] || ! printf '%s\n' "$found" | awk -F'|' '{ print $1, $8 }' | grep -qxF -- "$resumed" ||
    echo "start|lifecycle|0|$resumed_why"
}

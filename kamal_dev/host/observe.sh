# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# How a stack stands: what runs, compared with what its release has. Sourced after stack.sh; runs nothing by itself.
#
# `good` of a release has a line per container, as it was when the release came up:
# `<service> <state> <name> <networks> <image>`.
# ~/.kamal-dev/<stack>/baseline has what only the moment could tell:
#   restarts <id> <count>                          how often a container had been restarted by then
#   bind <id> <started> <device:inode> <folder>    the folder of the workspace that a container got when it was started

# judge ROW: set verdict to fine, wait, window (only time is missing) or failed, and reason.
judge() {
  IFS='|' read -r id service state health exit_code restarts policy started main _ _ _ _ process network_mode exposed <<END
$1
END
  reason=
  case $state in
    running) judge_running ;;
    exited) judge_exited ;;
    restarting) verdict=wait reason="it ended with exit code $exit_code and is started again and again" ;;
    created) verdict=failed reason='it was never started' ;;
    dead) verdict=failed reason='the engine could not remove it' ;;
    *) verdict=wait reason="it is $state" ;;
  esac
}

judge_running() {
  case $health in
    healthy) verdict=fine ;;
    unhealthy) verdict=failed reason='its health check fails' ;;
    starting) verdict=wait reason='its health check has not passed yet' ;;
    *)
      verdict=fine age=$window
      [ "$window" = 0 ] || age=$(uptime_of "$started")
      [ "$age" -ge "$window" ] || verdict=window reason='it did not stay up for long enough' ;;
  esac
}

judge_exited() {
  case $exit_code:$policy in
    *:always | *:unless-stopped) verdict=wait reason="it ended with exit code $exit_code" ;;
    0:*)
      verdict=fine
      [ "$main" != true ] || verdict=failed reason='it ended with exit code 0: nothing keeps the main service running' ;;
    *) verdict=failed reason="it ended with exit code $exit_code" ;;
  esac
}

# uptime_of TIME: print the milliseconds since then, by the clock that the engine took TIME from.
uptime_of() { echo $((wall - $(moment "$1" || echo "$wall"))); }

# restarts_beyond BEFORE ID COUNT: print how often it restarted since BEFORE, ` id=count id=count `, was written down.
# A container that somebody started by hand counts from 0 again.
restarts_beyond() {
  case $1 in
    *" $2="*) before=${1#*" $2="} before=${before%% *} ;;
    *) before=0 ;;
  esac
  [ "$before" -le "$3" ] || before=0
  echo $(($3 - before))
}

# standing: turn rows into lines of `good`, sorted; what is not fine gets a state that is never good.
standing() {
  while IFS='|' read -r _ served stands_as healthy ended_with _ unless _ _ _ name networks image _; do
    case $stands_as:$healthy:$ended_with:$unless in
      running:unhealthy:* | running:starting:*) stands_as=$healthy ;;
      running:*) stands_as=up ;;
      exited:*:0:no | exited:*:0: | exited:*:0:on-failure) stands_as='done' ;;
    esac
    echo "$served $stands_as $name ${networks:--} $image"
  done | sort
}

# weigh ID: compare what look_at_containers found with what release ID had when it was good. Sets stack_state to up, degraded,
# unfinished (lifecycle commands are left to be run), down (nothing runs) or absent, stack_reason, and problems to lines of
# `<container id> <kind> <reason>`, or `<name> missing <service>`.
weigh() {
  problems="$(weigh_each)
$(weigh_against "$1")"
  stack_state=up
  [ -z "${problems#?}" ] || stack_state=degraded
  [ "$stack_state" != up ] || has_finished "$found" || stack_state=unfinished
  printf '%s\n' "$found" | grep -q '^[^|]*|[^|]*|\(running\|paused\|restarting\)|' || stack_state=down
  [ -n "$1$found" ] || stack_state=absent
  stack_reason=
  case $stack_state:$1 in
    up: | degraded:) stack_state=degraded stack_reason='it has containers here, but no release' ;;
  esac
}

# weigh_each: print a problem for each container that is not fine by itself.
weigh_each() {
  window=0 wall=$(wall_clock)
  restarts_then=" $(sed -n 's/^restarts \([^ ]*\) /\1=/p' "$home/baseline" 2>/dev/null | tr '\n' ' ')"
  printf '%s\n' "$found" | while IFS= read -r one; do
    [ -n "$one" ] || continue
    judge "$one"
    [ "$verdict" = fine ] && judge_steadiness
    [ "$verdict" = fine ] || echo "$id $state $reason"
  done
}

# judge_steadiness: one that was restarted counts as up again after a minute for each time, and after an hour at most.
judge_steadiness() {
  times=$(restarts_beyond "$restarts_then" "$id" "$restarts")
  [ "$state" = running ] && [ "$times" -gt 0 ] || return 0
  age=$(uptime_of "$started")
  [ "$times" -le 60 ] || times=60
  [ "$age" -ge $((times * 60000)) ] ||
    verdict=failed reason="it does not stay up: it restarted $restarts times, last $((age / 1000)) s ago"
}

# weigh_against ID: print a problem for each container that is missing, too much, renamed, of another image, off a network, or
# that sees a folder which is gone.
weigh_against() {
  [ -z "$1" ] || printf '%s\n' "$found" | expected=$(known "$1" good) stale=$(stale_binds) awk -F'|' '
    function word(hex,   i, out) {
      for (i = 1; i < length(hex); i += 2)
        out = out sprintf("%c", (index(digits, substr(hex, i, 1)) - 1) * 16 + index(digits, substr(hex, i + 1, 1)) - 1)
      return out
    }
    function lost(then, now,   all, n, i) {
      n = split(then, all, ",")
      for (i = 1; i <= n; i++) if (all[i] != "-" && all[i] != "" && index("," now ",", "," all[i] ",") == 0) return word(all[i])
    }
    BEGIN {
      digits = "0123456789abcdef"
      is_known = split(ENVIRON["expected"], lines, "\n")
      for (i = 1; i <= is_known; i++) {
        n = split(lines[i], words, " ")
        name = n > 2 ? words[3] : "?" i
        service[name] = words[1]; networks[name] = words[4]; image[name] = words[5]
      }
      n = split(ENVIRON["stale"], lines, "\n")
      for (i = 1; i <= n; i++) if (lines[i] != "") gone[lines[i]] = 1
    }
    $1 == "" { next }
    $1 in gone { print $1 " stale the folder of the workspace that it sees was deleted or replaced"; }
    is_known && ($11 in service) {
      if (network = lost(networks[$11], $12)) print $1 " offline it is not on the network `" network "`"
      if (image[$11] != "" && image[$11] != $13) print $1 " other it runs the image `" $13 "`, not `" image[$11] "`"
      delete service[$11]
      next
    }
    is_known { others[++count] = $1 " " $2 " " $11 }
    END {
      for (i = 1; i <= count; i++) {
        split(others[i], words, " "); found = ""
        for (name in service) if (service[name] == words[2]) found = name
        if (found == "") print words[1] " leftover it is not part of this release"
        else {
          if (found !~ /^[?]/) print words[1] " renamed it was called `" found "`"
          delete service[found]
        }
      }
      for (name in service) print (name ~ /^[?]/ ? "-" : name) " missing " service[name]
    }'
}

# stale_binds: print the ids of containers whose folder in the workspace is another one now than when they were started.
stale_binds() {
  [ -f "$home/baseline" ] || return 0
  sed -n 's/^bind [^ ]* [^ ]* [^ ]* //p' "$home/baseline" | sort -u >"$here/folders"
  set --
  while IFS= read -r folder; do set -- "$@" "$folder"; done <"$here/folders"
  [ $# -gt 0 ] || return 0
  stat -c '%d:%i %n' -- "$@" 2>/dev/null >"$here/there"
  printf '%s\n' "$found" | rows=$found awk '
    BEGIN {
      n = split(ENVIRON["rows"], rows, "\n")
      for (i = 1; i <= n; i++) { split(rows[i], words, "|"); if (words[3] != "exited") alive[words[1] " " words[8]] = 1 }
    }
    FILENAME == ARGV[1] { there[$0] = 1; next }
    $1 == "bind" && (($2 " " $3) in alive) {
      seen = $0
      sub(/^bind [^ ]* [^ ]* /, "", seen)
      if (!(seen in there) && !told[$2]++) print $2
    }' "$here/there" "$home/baseline"
}

# remember_baseline: write down, of what look_at_containers found, what weigh compares with later.
remember_baseline() {
  printf '%s\n' "$found" | awk -F'|' '$1 != "" { print "restarts " $1 " " $6 }' >"$home/.baseline"
  # The engine may have been told the path without the links in it.
  physical=$(cd "$home/workspace" 2>/dev/null && pwd -P)
  # shellcheck disable=SC2046 # ids are words
  engine_inspect mounts $(printf '%s\n' "$found" | cut -d'|' -f1) 2>/dev/null | while IFS='|' read -r _ _ id started kind folder _; do
    [ "$kind" = bind ] || continue
    case $folder/ in "$home/workspace"/* | "${physical:-/none}"/*) ;; *) continue ;; esac
    there=$(stat -c '%d:%i' -- "$folder" 2>/dev/null) && echo "bind $id $started $there $folder"
  done >>"$home/.baseline"
  mv "$home/.baseline" "$home/baseline"
}

# is_as_good ID: after weigh: whether the stack is up, and every container stands as it did when the release was good.
is_as_good() {
  is_good "$1" && [ "$stack_state" = up ] && stands_as_good "$1"
}

# stands_as_good ID: whether every container that was found is in the state that it had then.
stands_as_good() {
  [ "$(printf '%s\n' "$found" | standing | cut -d' ' -f1,2)" = "$(known "$1" good | cut -d' ' -f1,2 | sort)" ]
}

# show_weighed: print the events of the containers, with the reason where one is not as it should be, and those that are missing.
show_weighed() {
  printf '%s\n' "$seen" | stack=$stack shown=$shown problems=$problems awk "$json_awk"'
    BEGIN {
      prepare()
      n = split(ENVIRON["problems"], lines, "\n")
      for (i = 1; i <= n; i++) {
        if (split(lines[i], words, " ") < 3) continue
        reason = substr(lines[i], length(words[1]) + length(words[2]) + 3)
        if (words[2] == "missing") missing[words[1]] = reason
        else why[words[1]] = why[words[1]] (words[1] in why && why[words[1]] != "" ? "; " : "") reason
      }
    }
    { at = index($0, "{"); if (!at) next }
    { id = substr($0, 1, index($0, "|") - 1); event = substr($0, at) }
    why[id] != "" { sub(/}$/, ",\"reason\":" quote(why[id]) "}", event) }
    { print event }
    END {
      for (name in missing)
        print "{\"type\":\"container\",\"stack\":" quote(ENVIRON["stack"]) ",\"release\":" quote(ENVIRON["shown"]) \
          ",\"service\":" quote(missing[name]) ",\"name\":" quote(name) ",\"image\":\"\",\"state\":\"missing\",\"reason\":\"its container is gone\"}"
    }'
}

# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# What "up" means: the state of each container and of the stack is decided only here. Sourced after stack.sh and
# lock.sh; runs nothing by itself.
#
# The states of a container by itself; people see these words:
#   up          running, with a passing health check; without one, running for a while without a restart, or listening on its
#               ports, or idling as it is meant to (see watch.sh)
#   starting    the health check has not passed yet, or it has not been running for long enough
#   unhealthy   the health check fails
#   restarting  it ended, and the engine starts it again          restarted  that happened recently
#   crash loop  that happened `restart_limit` times
#   completed   a one-shot: it ended with 0, and nothing restarts it
#   exited N    it ended, but should be running
#   stopped     it ended, because somebody stopped it on purpose: its service is in ~/.kamal-dev/<stack>/stopped, see operate.sh
#   created (never started), pending (waits for a place in the swarm), paused, dead, removing
# The states in comparison with its release when that came up:
#   missing, leftover (not part of the release), renamed, outdated (of another image), changed (recreated with another
#   configuration), offline (off a network), stale (the workspace folder that it mounts was replaced)
# All of these but `stale` are drift: what runs differs from the release.
# A stack: up, degraded (a container differs from its release), unfinished (lifecycle commands still have to run), stopped
# (on purpose, as a whole), down (no container runs) or absent.
#
# `good` of a release has a line per container, with its state when the release came up:
# `<service> <state> <name> <networks> <image> <configuration>`.
# ~/.kamal-dev/<stack>/baseline has what could only be recorded at that moment:
#   restarts <id> <count>                          how often a container had been restarted by then
#   bind <id> <started> <device:inode> <folder>    the workspace folder that a container mounted when it was started

restart_limit=3
! read_file "$here/meta/restarts" || restart_limit=${content:-3}
window=0 restarts_before='' is_watched='' is_identical=''

# --- a container

# judge ROW: set state to the word for a container, reason, and verdict to fine, wait, window (it only has to run
# longer), port (it does not listen yet) or failed.
judge() {
  IFS='|' read -r id service engine_state health exit_code restarts policy started main _ _ _ _ process network_mode _ exposed _ <<END
$1
END
  state=$engine_state verdict=failed reason=''
  case $engine_state in
    running) judge_running ;;
    exited) judge_exited ;;
    restarting) verdict=wait reason="exited with code $exit_code and is being restarted" ;;
    created) case $stopped_services in *" $service "*) state=stopped verdict=fine ;; *) reason='never started' ;; esac ;;
    pending) verdict='wait' reason="has no container yet$(task_error "$id" | sed 's/^/: /')" ;;
    dead) reason='the engine could not remove it' ;;
    *) verdict=wait reason=$engine_state ;;
  esac
  case $engine_state:$verdict in *:failed) ;; running:* | restarting:*) judge_restarts ;; esac
}

judge_running() {
  case $health in
    healthy) state=up verdict=fine ;;
    unhealthy) state=unhealthy reason='its health check fails' ;;
    starting) state=starting verdict=wait reason='its health check has not passed yet' ;;
    *)
      state=up verdict=fine age=$window
      # What happens on another node of a swarm, where its process is not known, is heard of late.
      [ "$window" = 0 ] || { find_age; [ "$process" != 0 ] || age=$((age - 5000)); }
      [ "$age" -ge "$window" ] || state=starting verdict=window reason='did not stay up long enough' ;;
  esac
}

judge_exited() {
  case $stopped_services in *" $service "*) state=stopped verdict=fine; return ;; esac
  state="exited $exit_code" reason="exited with code $exit_code"
  case $exit_code:$policy in
    *:always | *:unless-stopped) verdict='wait' ;;
    0:*) if [ "$main" = true ]; then reason="$reason: nothing keeps the main service running"
      else state=completed verdict=fine reason=''; fi ;;
  esac
}

# judge_restarts: a restarted container counts as up again after one minute per restart, at most an hour. While a
# release comes up, a few restarts are tolerated.
judge_restarts() {
  count_restarts
  [ "$times" -gt 0 ] || return 0
  calm_after=$times
  [ "$calm_after" -le 60 ] || calm_after=60
  find_age
  [ "$engine_state" = restarting ] || [ "$age" -lt $((calm_after * 60000)) ] || return 0
  if [ "$times" -ge "$restart_limit" ]; then
    state='crash loop' verdict=failed reason="crash loop: restarted $times times"
  elif [ "$verdict" = fine ] && [ -z "$is_watched" ]; then
    state=restarted verdict=failed reason="restarted $times times, last $((age / 1000)) s ago"
    [ "$times" -gt 1 ] || reason="restarted $((age / 1000)) s ago"
  fi
}

# uptime_of TIME: print the milliseconds since then, on the clock from which the engine took TIME.
uptime_of() {
  moment=$wall
  moment "$1"
  echo $((wall - moment))
}

# find_age: set age to the uptime of the container.
find_age() {
  wall=${wall:-$(wall_clock)} moment=
  moment "$started"
  age=$((wall - ${moment:-$wall}))
}

# count_restarts: set times to how often the container was restarted since restarts_before, ` id=count id=count `, was
# recorded. If somebody started it by hand, the count starts from 0 again.
count_restarts() {
  before=0
  case $restarts_before in *" $id="*) before=${restarts_before#*" $id="} before=${before%% *} ;; esac
  [ "$before" -le "$restarts" ] || before=0
  times=$((restarts - before))
}

# judge_all: judge each container of `found`: set judged to lines of `<id>|<verdict>|<state>|<reason>`, and outcome to
# the worst verdict; failed if there are no containers. Sets some_run if one runs. watch.sh may know better about a
# container that only has to run longer.
judge_all() {
  judged='' outcome=failed wall='' some_run=''
  find_stopped
  while IFS= read -r row; do
    [ -n "$row" ] || continue
    [ -n "$judged" ] || outcome=fine
    judge "$row"
    case $engine_state in running | paused | restarting) some_run=yes ;; esac
    [ "$verdict" != window ] || settle
    case $outcome:$verdict in
      failed:* | *:fine | wait:port | wait:window | port:window) ;;
      *) outcome=$verdict ;;
    esac
    judged="$judged$id|$verdict|$state|$reason
"
  done <<END
$found
END
}

# find_stopped: set stopped_services to the services that were stopped on purpose, separated and surrounded by spaces.
find_stopped() {
  stopped_services=' '
  [ ! -f "$home/stopped" ] || while IFS= read -r one; do stopped_services="$stopped_services$one "; done <"$home/stopped"
}

# --- the stack

# judge_stack RELEASE: judge the containers of look_at_containers, each on its own and against its state when RELEASE
# was good. Sets stack_state, stack_reason, judged (several lines per container are possible), and problems to the
# lines that are not fine. The line of a missing container is `<name>|failed|missing|<service>`.
judge_stack() {
  window=0 is_watched=''
  read_baseline
  judge_all
  [ -z "$1" ] || compare_with "$1"
  find_problems
  stack_state=up stack_reason=''
  [ -z "$problems" ] || stack_state=degraded
  [ "$stack_state" != up ] || has_finished "$found" || stack_state=unfinished
  [ -n "$some_run" ] || { stack_state=down && is_stopped; }
  [ -n "$1$found" ] || stack_state=absent
  case $stack_state:$1 in
    up: | degraded:) stack_state=degraded stack_reason='containers without a release' ;;
  esac
  underway=''
  [ ! -f "$home/underway" ] || judge_underway
  ! is_copying "$home" || { stack_state=degraded underway=copy && stack_reason=$(why_not_copied); }
}

# judge_underway: degrade a stack whose backup or restore did not reach its end, see underway.sh.
judge_underway() {
  read_lock
  case $lock_state in held | stale) return ;; esac
  read -r word <"$home/underway"
  stack_state=degraded underway=${word%d}
  case $word in
    moved) stack_reason="a move to another host is not complete: \`dev start $stack\` undoes it" ;;
    restore) stack_reason="a restore was interrupted: \`dev start $stack\` moves the old data back" ;;
    *) stack_reason="a $underway was interrupted: \`dev start $stack\` starts its services" ;;
  esac
}

# read_baseline: set restarts_before and bound, the lines about mounted folders, to what was recorded.
read_baseline() {
  restarts_before=' ' bound=''
  [ -f "$home/baseline" ] || return 0
  while IFS= read -r line; do
    case $line in
      'restarts '*) line=${line#* } && restarts_before="$restarts_before${line% *}=${line#* } " ;;
      'bind '*) bound=$bound$line$newline ;;
    esac
  done <"$home/baseline"
}

# find_problems: set problems to the lines of judged that are not fine.
find_problems() {
  problems=''
  while IFS= read -r line; do
    case ${line#*|} in '' | 'fine|'*) ;; *) problems=$problems${problems:+$newline}$line ;; esac
  done <<END
$judged
END
}

# is_stopped: for a stack without a running container: set stack_state to stopped if it was stopped on purpose. Containers that
# are not part of the release do not count.
is_stopped() { [ "$stopped_services" = ' ' ] || printf '%s\n' "$problems" | grep -v '|leftover|' | grep -q . || stack_state=stopped; }

# compare_with RELEASE: add a line to judged for each container that is missing, left over, renamed, of another image
# or configuration, off a network, or that mounts a deleted folder. Sets is_identical to `yes` if all are as expected.
compare_with() {
  recall "$1" good
  expected=$content stale='' is_identical=''
  [ -z "$bound" ] || stale=$(stale_binds)
  ! is_as_expected || is_identical=yes
  [ -n "$is_identical" ] && [ -z "$stale" ] || judged=$judged$(differences)
}

# is_as_expected: whether the containers of found are those that `expected` describes, without starting a process.
is_as_expected() {
  remaining=$newline$expected$newline
  while IFS= read -r row; do
    [ -n "$row" ] || continue
    describe_good "$row"
    case $remaining in *"$newline$good_line$newline"*) ;; *) return 1 ;; esac
    remaining=${remaining%%"$newline$good_line$newline"*}$newline${remaining#*"$newline$good_line$newline"}
  done <<END
$found
END
  [ -n "$expected" ] && [ "$remaining" = "$newline" ]
}

# differences: print the lines for compare_with.
differences() {
  printf '%s\n' "$found" | expected=$expected stale=$stale awk -F'|' '
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
        service[name] = words[1]; networks[name] = words[4]; image[name] = words[5]; made[name] = words[6]
      }
      n = split(ENVIRON["stale"], lines, "\n")
      for (i = 1; i <= n; i++) if (lines[i] != "") gone[lines[i]] = 1
    }
    $1 == "" { next }
    $1 in gone { print $1 "|failed|stale|its workspace folder was deleted or replaced" }
    is_known && ($11 in service) {
      if (network = lost(networks[$11], $12)) print $1 "|failed|offline|not connected to the network `" network "`"
      if (image[$11] != "" && image[$11] != $13) print $1 "|failed|outdated|runs the image `" $13 "` instead of `" image[$11] "`"
      else if (made[$11] != "" && $18 != "" && made[$11] != $18) print $1 "|failed|changed|recreated with another configuration"
      delete service[$11]
      next
    }
    is_known { others[++count] = $1 " " $2 " " $11 }
    END {
      for (i = 1; i <= count; i++) {
        split(others[i], words, " "); found = ""
        for (name in service) if (service[name] == words[2]) found = name
        if (found == "") print words[1] "|failed|leftover|not part of this release"
        else {
          if (found !~ /^[?]/) print words[1] "|failed|renamed|renamed from `" found "`"
          delete service[found]
        }
      }
      for (name in service) print (name ~ /^[?]/ ? "-" : name) "|failed|missing|" service[name]
    }'
}

# stale_binds: print the ids of containers whose workspace folder was replaced after they were started.
stale_binds() {
  set --
  while IFS= read -r line; do
    [ -z "$line" ] || set -- "$@" "${line#bind * * * }"
  done <<END
$bound
END
  stat -c '%d:%i %n' -- "$@" 2>/dev/null >"$here/identities"
  printf '%s\n' "$found" | rows=$found awk '
    BEGIN {
      n = split(ENVIRON["rows"], rows, "\n")
      for (i = 1; i <= n; i++) { split(rows[i], words, "|"); if (words[3] != "exited") alive[words[1] " " words[8]] = 1 }
    }
    FILENAME == ARGV[1] { there[$0] = 1; next }
    $1 == "bind" && (($2 " " $3) in alive) {
      seen = $0
      sub(/^bind [^ ]* [^ ]* /, "", seen)
      if (!(seen in there) && !printed[$2]++) print $2
    }' "$here/identities" "$home/baseline"
}

# save_baseline: record restart counts and mounts of the containers, to compare with in judge_stack later, and which run.
save_baseline() {
  record_running
  # A service that is stopped after this change must not be started by the watcher, whatever had been down before.
  discard "$base/.watcher/outage/$stack"
  while IFS='|' read -r id _ _ _ _ restarts _; do
    [ -z "$id" ] || echo "restarts $id $restarts"
  done >"$home/.baseline" <<END
$found
END
  # The engine may report the path with symbolic links resolved.
  [ -z "$binds" ] || physical=$(cd "$home/workspace" 2>/dev/null && pwd -P)
  [ -z "$binds" ] || printf '%s\n' "$binds" | while IFS='|' read -r _ _ _ id started folder _; do
    case $folder/ in "$home/workspace"/* | "${physical:-/none}"/*) ;; *) continue ;; esac
    identity=$(stat -c '%d:%i' -- "$folder" 2>/dev/null) && echo "bind $id $started $identity $folder"
  done >>"$home/.baseline"
  mv "$home/.baseline" "$home/baseline"
}

# states_of_good: turn rows into sorted lines of `good`; a container that is not fine gets a state that never matches.
states_of_good() {
  while IFS= read -r row; do
    describe_good "$row"
    printf '%s\n' "$good_line"
  done | sort
}

# describe_good ROW: set good_line to its line.
describe_good() {
  IFS='|' read -r _ service engine_state health exit_code _ policy _ _ _ name networks image _ _ _ _ made <<END
$1
END
  case $engine_state:$health:$exit_code:$policy in
    running:unhealthy:* | running:starting:*) engine_state=$health ;;
    running:*) engine_state=up ;;
    exited:*:0:no | exited:*:0: | exited:*:0:on-failure) engine_state='done' ;;
  esac
  good_line="$service $engine_state $name ${networks:--} $image${made:+ $made}"
}

# is_as_good RELEASE: after judge_stack: whether the stack is up, and all containers are in the state they had when the release was good.
is_as_good() { is_good "$1" && [ "$stack_state" = up ] && has_states_of "$1"; }

# has_states_of RELEASE: after judge_stack: whether every container found is in the state that it had when the release was good.
has_states_of() {
  [ -z "$is_identical" ] || return 0
  [ "$(printf '%s\n' "$found" | states_of_good | cut -d' ' -f1,2)" = "$(known "$1" good | cut -d' ' -f1,2 | sort)" ]
}

# --- events

# show_stopped: report the containers after a stop, without a reason, because they were stopped on purpose.
show_stopped() {
  look_at_stack
  judge_all
  judged=$(printf '%s' "$judged" | awk -F'|' '{ print $1 "|fine|" $3 "|" }')
  show_containers
}

# show_containers: print the event of each container, with its state, the reason if something is wrong, and whether that
# is drift; missing containers too. `details` may have `<id> <exit code> <log, as JSON>` for some.
show_containers() {
  printf '%s\n' "$seen" | stack=$stack shown=$shown judged=$judged details=$here/details awk "$json_awk"'
    function put(event, key, value,   at) {
      if (match(event, "\"" key "\":(\"[^\"]*\"|-?[0-9]+)")) return substr(event, 1, RSTART - 1) "\"" key "\":" value substr(event, RSTART + RLENGTH)
      return event
    }
    BEGIN {
      prepare()
      n = split(ENVIRON["judged"], lines, "\n")
      for (i = 1; i <= n; i++) {
        if (split(lines[i], words, "|") < 4) continue
        reason = substr(lines[i], length(words[1] words[2] words[3]) + 4)
        if (words[3] == "missing") { missing[words[1]] = reason; continue }
        if (index(" leftover renamed outdated changed offline ", " " words[3] " ")) drifted[words[1]]
        if (!(words[1] in state) || is_fine[words[1]]) { state[words[1]] = words[3]; is_fine[words[1]] = words[2] == "fine" }
        if (reason != "") why[words[1]] = why[words[1]] (why[words[1]] != "" ? "; " : "") reason
      }
      while ((getline line < ENVIRON["details"]) > 0) {
        split(line, words, " ")
        code[words[1]] = words[2]; log_of[words[1]] = substr(line, length(words[1] words[2]) + 3)
      }
    }
    { at = index($0, "{"); if (!at) next }
    {
      id = substr($0, 1, index($0, "|") - 1); event = substr($0, at)
      if (event !~ /"state":"(running|paused)"/) event = put(event, "started", "\"\"")
      if (id in state) event = put(event, "state", quote(state[id]))
      if (id in code) event = put(event, "exit_code", code[id])
      if (id in drifted) event = substr(event, 1, length(event) - 1) ",\"drift\":true}"
      if (why[id] != "") event = substr(event, 1, length(event) - 1) ",\"reason\":" quote(why[id]) "}"
      if (id in code) event = substr(event, 1, length(event) - 1) ",\"log\":" log_of[id] "}"
      print event
    }
    END {
      for (name in missing)
        print "{\"type\":\"container\",\"stack\":" quote(ENVIRON["stack"]) ",\"release\":" quote(ENVIRON["shown"]) \
          ",\"service\":" quote(missing[name]) ",\"name\":" quote(name) ",\"image\":\"\",\"state\":\"missing\",\"drift\":true,\"reason\":\"its container is missing\"}"
    }'
}

# shellcheck shell=sh disable=SC2016 # for awk
# When people are notified about a problem: when it begins, at long intervals while it lasts, and when it is over. Sourced; runs
# nothing by itself.
#
# debounce STATE NOW CALM REPEAT [recover]: read the problems of a stack from stdin, `<key>|<state>|<events>|<reason>`, one for each
# key, and print the alerts to send: `<key>|<state>|<count>|<since>|<reason>`; the state of a solved problem is `recovered`. All times are seconds.
# `events` is how often something happened since the last call; `count` is their sum since `since`.
#   STATE   a file; a line per incident: key|state|since|count|told|bad|level|closed. It has a block from the beginning and is
#           overwritten in place, so that it can be written on a full disk. If it cannot, there are no alerts and debounce fails:
#           they would be repeated each time.
# An incident is over after CALM seconds without the problem; without `recover`, only these problems are known, and no other is over. If it returns within REPEAT seconds, it has to be absent for twice
# as long as the last time, up to REPEAT: a service that flaps for hours causes a few messages. A lasting problem is reported again
# every REPEAT seconds, with its count.
debounce() {
  [ -s "$1" ] || printf '%-4096s' '' >"$1" || return
  debounced=$(awk -F'|' -v now="$2" -v calm="$3" -v repeat="$4" -v recover="${5:-}" '
    function calm_for(key,   seconds) {
      seconds = calm * 2 ^ level[key]
      return seconds < repeat ? seconds : repeat
    }
    function tell(key, word, reason) {
      print "alert|" key "|" word "|" count[key] "|" since[key] "|" reason
      told[key] = now
    }
    # If the clock was set back, an incident must not stay silent for hours.
    function past(time) { return time > now ? now : time + 0 }
    FILENAME == ARGV[1] {
      if (NF < 8) next
      state[$1] = $2; since[$1] = past($3); count[$1] = $4; told[$1] = past($5); bad[$1] = past($6); level[$1] = $7; closed[$1] = past($8)
      next
    }
    $1 == "" { next }
    {
      key = $1; reason = substr($0, length($1 $2 $3) + 4); current[key]
      if (!(key in state) || closed[key]) {
        level[key] = (key in state) && now - closed[key] < repeat ? level[key] + 1 : 0
        if (level[key] > 16) level[key] = 16
        state[key] = $2; since[key] = now; count[key] = $3 > 1 ? $3 : 1; closed[key] = 0; bad[key] = now
        tell(key, $2, reason)
        next
      }
      state[key] = $2; count[key] += $3; bad[key] = now
      if (now - told[key] >= repeat) tell(key, $2, reason)
    }
    END {
      for (key in state) {
        if (recover != "" && !(key in current) && !closed[key] && now - bad[key] >= calm_for(key)) {
          tell(key, "recovered", "")
          closed[key] = now
        }
        if (closed[key] && now - closed[key] >= repeat) continue
        print "state|" key "|" state[key] "|" since[key] "|" count[key] "|" told[key] "|" bad[key] "|" level[key] "|" closed[key]
      }
    }' "$1" -) || return
  incidents_size=$(wc -c <"$1")
  [ "$incidents_size" -gt 4096 ] || incidents_size=4096
  # A longer state of before must not stay behind it.
  printf "%-${incidents_size}s" "$(printf '%s\n' "$debounced" | sed -n 's/^state|//p')
" 1<>"$1" && printf '%s\n' "$debounced" | sed -n 's/^alert|//p'
}

# has_open_incidents STATE
has_open_incidents() { grep -q '|0$' "$1" 2>/dev/null; }

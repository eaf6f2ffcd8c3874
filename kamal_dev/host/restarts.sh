# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Set the restart policy of services that set none, once they are up. Sourced after watch.sh; runs nothing by itself.
#
# Payload: meta/started, whose fourth field is the policy of dev.yml; empty for a service that sets its own, or is meant to end.
# A service that is known to keep running gets the policy. A service that has only been running for a while may be a slow
# one-shot, which must not run again after it ends with 0: it gets `on-failure`.

# set_restart_policies: give each container of `found` its policy, if it has another one.
set_restart_policies() {
  kept='' failing='' without='' policies=' '
  [ -f "$here/meta/started" ] || return 0
  while IFS='|' read -r service _ _ policy; do
    [ -z "$policy" ] || policies="$policies$service=$policy "
  done <"$here/meta/started"
  [ "$policies" != ' ' ] || return 0
  while IFS='|' read -r id service engine_state health _ _ policy started main _ _ _ _ process network_mode _ exposed _; do
    case $policies:$policy in
      *" $service=unless-stopped "*:unless-stopped) ;;
      *" $service=unless-stopped "*)
        [ "$engine_state" = running ] || continue
        if goes_on; then kept="$kept $id"; elif [ "$policy" != on-failure ]; then failing="$failing $id"; fi ;;
      *" $service=no "*:no | *" $service=no "*:) ;;
      *" $service=no "*) without="$without $id" ;;
    esac
  done <<END
$found
END
  set_policy unless-stopped "$kept" && set_policy on-failure "$failing" && set_policy no "$without"
}

# goes_on: whether a container is not a one-shot: people work in it, it has a health check, listens on its
# ports, or idles.
goes_on() {
  [ "$main" != true ] && [ -z "$health" ] || return 0
  case " $lasting " in *" $id=$started "*) return ;; esac
  is_process_of "$process" "$id" || return 1
  ! idles "$process" || return 0
  [ "$network_mode" != host ] || return 1
  name_ports
  # shellcheck disable=SC2086 # ports are words
  [ -n "$named" ] && listens "$process" $named
}

# set_policy POLICY IDS
set_policy() {
  [ -n "$2" ] || return 0
  # shellcheck disable=SC2086 # ids are words
  engine_restart_policy "$1" $2 >/dev/null 2>"$here/policy.err" || log "could not set the restart policy: $(last_lines "$here/policy.err" 1)"
}

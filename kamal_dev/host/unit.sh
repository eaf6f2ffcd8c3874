# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# The systemd unit of the watcher of this login: one on a host, for all stacks of the login. Sourced after stack.sh; runs nothing by
# itself.
#
#   ~/.kamal-dev/.watcher/   its scripts, `digest`, which names their version, and `process`, the `process:start` of the one that runs
# Payload of what installs it: meta/watcher, the digest, then the names of the scripts, a line each.

unit=kamal-dev-$uid.service unit_folder=/etc/systemd/system watcher_folder=$base/.watcher unit_installed=''

has_systemd() { [ -d /run/systemd/system ]; }

# look_at_watcher: set watcher to the digest of the installed one, `missing` if there is none or it does not run, or to
# nothing if it is not supported.
look_at_watcher() {
  watcher=
  has_systemd || return 0
  watcher=missing
  read -r watcher_process 2>/dev/null <"$watcher_folder/process" && is_there "$watcher_process" || return 0
  [ ! -f "$unit_folder/$unit" ] || IFS= read -r watcher 2>/dev/null <"$watcher_folder/digest" || watcher=missing
}

# ensure_watcher: install the payload's watcher, unless it is installed, and report it if that fails. Of two stacks that are
# deployed to one host at the same time, one installs it.
ensure_watcher() {
  exec 8<"$HOME"
  wait_for_lock 60 8 && { install_watcher || log "could not install the watcher: $unit_trouble"; }
  exec 8<&-
}

# install_watcher: do that. Fails, and sets unit_trouble, if it could not. Sets unit_installed if there was something to do.
install_watcher() {
  unit_trouble=
  [ -s "$here/meta/watcher" ] && has_systemd || return 0
  IFS= read -r watcher_wanted <"$here/meta/watcher"
  look_at_watcher
  [ "$watcher" != "$watcher_wanted" ] || return 0
  case $(privilege) in root | sudo) ;; *) return 0 ;; esac
  # Such a path would need quoting for systemd.
  case $base in *[!A-Za-z0-9/._@-]*) unit_trouble="the path $base"; return 1 ;; esac
  put_watcher >"$here/unit.log" 2>&1 || { unit_trouble=$(last_lines "$here/unit.log" 1); return 1; }
  unit_installed=yes
}

put_watcher() (
  umask 077
  set --
  while IFS= read -r name; do set -- "$@" "$here/$name"; done <"$here/meta/watcher"
  shift
  # Renamed into place, because the watcher that runs still reads its scripts.
  rm -rf "$watcher_folder/new" && mkdir -p "$watcher_folder/new" && cp "$@" "$watcher_folder/new" &&
    mv "$watcher_folder/new"/* "$watcher_folder" && rmdir "$watcher_folder/new" || return
  write_unit >"$here/$unit"
  # `enable` makes systemd read the unit again.
  chmod 644 "$here/$unit" && as_root cp -p "$here/$unit" "$unit_folder/$unit" && as_root chown 0:0 "$unit_folder/$unit" &&
    unit_control enable "$unit" && rm -f "$watcher_folder/process" && unit_control restart "$unit" || return
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ ! -s "$watcher_folder/process" ] || break; sleep 0.1; done
  printf '%s\n' "$watcher_wanted" >"$watcher_folder/digest"
)

unit_control() { as_root timeout -k 5 60 systemctl "$@"; }

# The token keeps lib.sh from ending the script together with its caller.
write_unit() {
  cat <<END
[Unit]
Description=Watch the stacks of kamal-dev of $(id -un)
After=$engine_unit user@$uid.service network.target

[Service]
User=$uid
Environment=HOME=$HOME KAMAL_DEV_TOKEN=watcher
$(engine_environment | sed 's/^/Environment=/')
ExecStart=/bin/sh $watcher_folder/watcher.sh
Restart=always
RestartSec=10
Nice=10

[Install]
WantedBy=multi-user.target
END
}

# leave_host: remove the watcher by itself, if this login has no stack left. Systemd ends it afterwards.
leave_host() {
  [ -z "$(all_stacks)" ] || return 0
  case $(privilege) in root | sudo) ;; *) return 0 ;; esac
  as_root systemctl disable "$unit" && as_root rm -f "$unit_folder/$unit" && as_root systemctl daemon-reload && rm -rf "$watcher_folder" &&
    as_root systemctl stop --no-block "$unit"
}

# remove_watcher: remove it if this login has no stack left.
remove_watcher() {
  [ -d "$watcher_folder" ] && [ -z "$(all_stacks)" ] || return 0
  if [ -f "$unit_folder/$unit" ]; then
    case $(privilege) in root | sudo) ;; *) return 0 ;; esac
    as_root systemctl disable --now "$unit" && as_root rm -f "$unit_folder/$unit" && as_root systemctl daemon-reload
  fi
  rm -rf "$watcher_folder"
}

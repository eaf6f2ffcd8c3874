# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Write an alert to the log of its stack, and tell it to whom `notify` of dev.yml names. Sourced after stack.sh; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/alerts.log              the last alerts, one line of JSON each
#   ~/.kamal-dev/<stack>/current/kamal-dev.notify   0600; lines `<key> <value>`: command, webhook, header, slack, email, disk, calm, repeat
# Nothing of an alert, and no secret, is an argument of a process: the JSON is in a file or on stdin, and so are addresses and headers.

alerts_limit=262144 alerts_kept=500 delays='0 2 10 60 300'

# setting KEY [DEFAULT]: print its value from dev.yml.
setting() {
  [ ! -f "$home/current/kamal-dev.notify" ] ||
    while read -r setting_key setting_value; do
      [ "$setting_key" != "$1" ] || { printf '%s\n' "$setting_value"; return; }
    done <"$home/current/kamal-dev.notify"
  printf '%s\n' "${2:-}"
}

# write_alert JSON: append a line to the log, and drop old ones once it is large.
write_alert() {
  alerts=$home/alerts.log
  printf '%s\n' "$1" >>"$alerts"
  [ "$(wc -c <"$alerts")" -lt "$alerts_limit" ] || { tail -n "$alerts_kept" "$alerts" >"$alerts.new" && mv "$alerts.new" "$alerts"; }
}

# alert STATE SERVICE COUNT SINCE REASON: write an alert, and deliver it in the background.
alert() {
  alert_at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  alert_json=$(emit alert schema: 1 at "$alert_at" host "$(uname -n)" stack "$stack" service "$2" state "$1" count: "$3" \
    since "$4" reason "$5")
  write_alert "$alert_json"
  alert_text="$stack${2:+: $2}: $5"
  [ "$1" != recovered ] || alert_text="$stack${2:+: $2}: recovered"
  [ "$3" -le 1 ] || alert_text="$alert_text ($3 times since $4)"
  for channel in command webhook slack email; do
    target=$(setting "$channel")
    [ -z "$target" ] || (deliver "$channel" "$target" </dev/null >/dev/null 2>&1 3<&- &)
  done
}

# deliver CHANNEL TARGET: try until it works, with growing pauses; a failure is also written to the log. If the host
# lacks a program (exit code 3), there is no retry.
deliver() {
  letter=$(mktemp -d "$here/letter.XXXXXX") || return
  trap 'rm -rf "$letter"' EXIT
  for delay in $delays; do
    sleep "$delay"
    "tell_$1" "$2" >"$letter/said" 2>&1
    case $? in 0) return ;; 3) break ;; esac
  done
  write_alert "$(emit undelivered at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" stack "$stack" state undelivered service '' \
    reason "could not notify by $1: $(last_lines "$letter/said" 1)")"
}

# tell_command LINE: run it in the workspace, with the alert on its stdin.
tell_command() {
  printf '%s\n' "$alert_json" >"$letter/alert"
  (cd "$home/workspace" 2>/dev/null || cd && exec timeout 60 sh -c "$1") <"$letter/alert"
}

tell_webhook() {
  printf '%s\n' "$alert_json" >"$letter/alert"
  post "$1" "$(setting header)"
}

# tell_slack URL: send to an incoming webhook; only three characters of its markup need escaping.
tell_slack() {
  slack_text=$(printf '%s' "$alert_text" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g')
  printf '{"text":%s}\n' "$(json_text "$slack_text")" >"$letter/alert"
  post "$1" ''
}

# tell_email ADDRESSES: send with this host's sendmail.
tell_email() {
  mailer=$(command -v sendmail) || { echo 'this host has no sendmail'; return 3; }
  # A name must not end the header line.
  subject=$(printf '%s' "$alert_text" | tr '\000-\037\177' ' ' | cut -b1-200)
  {
    printf 'To: %s\nSubject: [kamal-dev] %s\nDate: %s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n' \
      "$(echo "$1" | sed 's/ /, /g')" "$subject" "$(date -u '+%a, %d %b %Y %H:%M:%S +0000')"
    printf '%s\n\n%s\n' "$alert_text" "$alert_json"
  } >"$letter/mail"
  # shellcheck disable=SC2086 # addresses are words
  timeout 60 "$mailer" -i -- $1 <"$letter/mail"
}

# --- HTTP

# poster: print a program that can post and read address and headers from a file; nothing if there is none.
poster() {
  if command -v curl >/dev/null 2>&1; then echo curl
  elif wget --version 2>/dev/null | grep -q '^GNU Wget'; then echo wget
  elif command -v python3 >/dev/null 2>&1; then echo python3
  fi
}

# post URL HEADER: post $letter/alert as JSON; fails unless the response is a success.
post() {
  case $(poster) in
    curl) post_by_curl "$@" ;;
    wget) post_by_wget "$@" ;;
    python3) printf '%s\n' "$@" | timeout 40 python3 -c "$post_by_python" "$letter/alert" ;;
    *) echo 'a webhook needs curl, GNU wget or python3 on the host'; return 3 ;;
  esac
}

post_by_curl() {
  {
    curl_option url "$1"
    curl_option header 'Content-Type: application/json'
    [ -z "$2" ] || curl_option header "$2"
    curl_option data-binary "@$letter/alert"
  } | curl --silent --show-error --fail --max-time 30 --output /dev/null --config -
}

curl_option() { printf '%s = "%s"\n' "$1" "$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')"; }

post_by_wget() {
  printf '%s\n' "$1" >"$letter/url"
  printf 'header = %s\n' 'Content-Type: application/json' ${2:+"$2"} >"$letter/wgetrc"
  WGETRC=$letter/wgetrc timeout 40 wget --no-verbose --tries=1 --timeout=30 --output-document=/dev/null \
    --post-file="$letter/alert" --input-file="$letter/url"
}

post_by_python='
import sys, urllib.request
url, header = sys.stdin.read().split("\n")[:2]
headers = {"Content-Type": "application/json"}
if header: headers.update([map(str.strip, header.split(":", 1))])
try: urllib.request.urlopen(urllib.request.Request(url, open(sys.argv[1], "rb").read(), headers), timeout=30)
except Exception as error: sys.exit(str(error))
'

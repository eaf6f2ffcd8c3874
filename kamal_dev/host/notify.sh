# shellcheck shell=sh disable=SC2034,SC2154 # variables cross the files that source each other
# Write an alert to the log of its stack, and tell it to whom `notify` of dev.yml names. Sourced after stack.sh; runs nothing by itself.
#
#   ~/.kamal-dev/<stack>/alerts.log              the last alerts, one line of JSON each
#   ~/.kamal-dev/.watcher/letters/               what was not delivered yet, see post_letter
#   ~/.kamal-dev/<stack>/current/kamal-dev.notify   0600; lines `<key> <value>`: command, webhook, header, slack, email, disk, calm, repeat
# Nothing of an alert, no address and no header is an argument of a process. `command` is one; it is no secret.

letters=$here/letters
alerts_limit=262144 alerts_kept=500 delays='0 2 10 60 300'

# setting KEY [DEFAULT]: print its value from dev.yml.
setting() {
  [ ! -f "$home/current/kamal-dev.notify" ] ||
    while read -r setting_key setting_value; do
      [ "$setting_key" != "$1" ] || { printf '%s\n' "$setting_value"; return; }
    done <"$home/current/kamal-dev.notify"
  printf '%s\n' "${2:-}"
}

# write_alert JSON: append a line to the log, and drop old ones once it is large. On a full disk, nothing is written.
write_alert() {
  alerts=$home/alerts.log
  { printf '%s\n' "$1" >>"$alerts"; } 2>/dev/null || return 0
  [ "$(wc -c <"$alerts")" -lt "$alerts_limit" ] || { tail -n "$alerts_kept" "$alerts" >"$alerts.new" && mv "$alerts.new" "$alerts"; }
}

# alert STATE SERVICE COUNT SINCE REASON: write an alert, and deliver it in the background.
alert() {
  alert_at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  alert_json=$(emit alert schema: 1 at "$alert_at" host "$(uname -n)" stack "$stack" service "$2" state "$1" count: "$3" \
    since "$4" reason "$5")
  write_alert "$alert_json"
  alert_text="$stack${2:+: $2}"
  [ "$1" != recovered ] || alert_text="$alert_text: recovered"
  alert_text="$alert_text${5:+: $5}"
  [ "$3" -le 1 ] || alert_text="$alert_text ($3 times since $4)"
  for channel in command webhook slack email; do
    target=$(setting "$channel")
    [ -z "$target" ] || post_letter "$channel"
  done
}

# post_letter CHANNEL: deliver in the background. The letter is a file with the stack, the channel, the JSON and the text, a
# line each, so that the next watcher delivers it if this one is ended. On a full disk there is no file.
post_letter() {
  mkdir -p "$letters" && letter=$(mktemp "$letters/XXXXXX") || letter=
  [ -z "$letter" ] || printf '%s\n' "$stack" "$1" "$alert_json" "$alert_text" >"$letter" || { rm -f "$letter"; letter=; }
  (deliver "$1" </dev/null >/dev/null 2>&1 3<&- &)
} 2>/dev/null

# deliver_letters: deliver those that an earlier watcher did not.
deliver_letters() {
  for letter in "$letters"/*; do
    [ ! -f "$letter" ] || (deliver_letter </dev/null >/dev/null 2>&1 3<&- &)
  done
}

deliver_letter() {
  { read -r name; read -r channel; read -r alert_json; read -r alert_text; } <"$letter"
  use_stack "$name"
  target=$(setting "$channel")
  if [ -n "$target" ]; then deliver "$channel"; else rm -f "$letter"; fi
}

# deliver CHANNEL: send it to `target`, with growing pauses, until it works; a failure is also written to the log. If the
# host lacks a program (exit code 3), there is no retry.
deliver() {
  for delay in $delays; do
    sleep "$delay"
    said=$("tell_$1" "$target" 2>&1)
    case $? in 0) rm -f "$letter"; return ;; 3) break ;; esac
  done
  said=$(printf '%s\n' "$said" | grep . | tail -n 1 | tr -d '\000' | cut -b1-300)
  [ "$1" = command ] || { hide "$target"; hide "$(setting header)"; }
  write_alert "$(emit undelivered at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" stack "$stack" state undelivered service '' \
    reason "could not notify by $1${said:+: $said}")"
  rm -f "$letter"
}

# hide SECRET: replace it in `said`: the address of Slack, and a header, are secrets, and programs name what they call.
hide() {
  hidden=$said said=
  while [ -n "$1" ]; do
    case $hidden in *"$1"*) ;; *) break ;; esac
    said="$said${hidden%%"$1"*}[redacted]" hidden=${hidden#*"$1"}
  done
  said=$said$hidden
}

# tell_command LINE: run it in the folder of workspaces, with the alert on its stdin.
tell_command() { (cd "$home/workspace" 2>/dev/null || cd && printf '%s\n' "$alert_json" | timeout 60 sh -c "$1"); }

tell_webhook() { post "$1" "$(setting header)" "$alert_json"; }

# tell_slack URL: send to an incoming webhook; only three characters of its markup need escaping.
tell_slack() {
  slack_text=$(printf '%s' "$alert_text" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g')
  post "$1" '' "{\"text\":$(json_text "$slack_text")}"
}

# tell_email ADDRESSES: send with this host's sendmail, which takes the addresses from the letter.
tell_email() {
  mailer=$(command -v sendmail) || { echo 'this host has no sendmail'; return 3; }
  # A name must not end the header line.
  subject=$(printf '%s' "$alert_text" | tr '\000-\037\177' ' ' | cut -b1-200)
  {
    printf 'To: %s\nSubject: [kamal-dev] %s\nDate: %s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n' \
      "$(echo "$1" | sed 's/ /, /g')" "$subject" "$(date -u '+%a, %d %b %Y %H:%M:%S +0000')"
    printf '%s\n\n%s\n' "$alert_text" "$alert_json"
  } | timeout 60 "$mailer" -t -i
}

# --- HTTP: address, header and body go to the program through pipes, which a full disk does not affect

# poster: print a program that can post and does not need them as arguments; nothing if there is none.
poster() {
  if command -v curl >/dev/null 2>&1; then echo curl
  elif wget --version 2>/dev/null | grep -q '^GNU Wget'; then echo wget
  elif command -v python3 >/dev/null 2>&1; then echo python3
  fi
}

# post URL HEADER JSON: fails unless the response is a success. A redirect is none: the receiver would not get the alert.
post() {
  case $(poster) in
    curl) post_by_curl "$@" ;;
    wget) post_by_wget "$@" ;;
    python3) printf '%s\n' "$@" | timeout 40 python3 -c "$post_by_python" ;;
    *) echo 'a webhook needs curl, GNU wget or python3 on the host'; return 3 ;;
  esac
}

post_by_curl() {
  answer=$({
    curl_option url "$1"
    curl_option header 'Content-Type: application/json'
    [ -z "$2" ] || curl_option header "$2"
    curl_option data-binary "$3"
  } | curl --silent --show-error --max-time 30 --output /dev/null --write-out '%{http_code}\n' --config - 2>&1) ||
    { printf '%s\n' "$answer" | sed '/^[0-9]*$/d'; return 1; }
  case $answer in 2[0-9][0-9]) ;; *) echo "the response is HTTP $answer"; return 1 ;; esac
}

curl_option() { printf '%s = "%s"\n' "$1" "$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')"; }

# Of wget only the address may come through a pipe; the file with the rest is in memory where possible.
post_by_wget() {
  wget_folder=$(mktemp -d /dev/shm/kamal-dev.XXXXXX 2>/dev/null || mktemp -d) || return
  trap 'rm -rf "$wget_folder"' EXIT
  {
    printf 'header = %s\n' 'Content-Type: application/json' ${2:+"$2"}
    printf 'post_data = %s\nmax_redirect = 0\n' "$3"
  } >"$wget_folder/wgetrc" &&
    printf '%s\n' "$1" | WGETRC=$wget_folder/wgetrc timeout 40 wget --no-verbose --tries=1 --timeout=30 --output-document=/dev/null --input-file=-
}

post_by_python='
import sys, urllib.error, urllib.request
url, header, body = sys.stdin.read().split("\n")[:3]
headers = {"Content-Type": "application/json"}
if header: headers.update([map(str.strip, header.split(":", 1))])
class Redirected(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
try: urllib.request.build_opener(Redirected).open(urllib.request.Request(url, body.encode(), headers), timeout=30)
except urllib.error.HTTPError as error: sys.exit(f"the response is HTTP {error.code}")
except urllib.error.URLError as error: sys.exit(str(error.reason) if isinstance(error.reason, OSError) else "the address is not valid")
except Exception as error: sys.exit(type(error).__name__)
'

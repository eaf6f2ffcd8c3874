#!/bin/sh
# Each address of the loopback range is a host of its own: a home directory, and an engine that is a script.
address=${SSH_CONNECTION% *}
HOME=/simulated/homes/${address##* }
PATH=/simulated/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export HOME PATH
cd "$HOME" && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"

#!/bin/sh
# Holds one output line from outside of the agent, so that the line is off soon whatever becomes of the agent:
#
#   agent killed          stdin ends, the watcher tells us, the line is set off
#   gpioset killed        we are still there and set the line off
#   we killed             gpioset goes on to the end of its list, which is finite and ends off; or the agent, which
#                         notices, ends the whole process group and starts anew
#   SIGTERM to all of us  (a service manager after the agent died) we set the line off first
#
# usage: output.sh <line>=inactive <line>=active <periods> <seconds> <options of gpioset>...
# periods: of gpioset's --toggle, ending in 0; empty: nothing is to be on. seconds: how long these take at most.
# stdout: a line of gpioset's when the line is ours, and `rest` when a run is over. stderr: what gpioset says.
inactive=$1 active=$2 periods=$3 seconds=$4
shift 4
self=$$
tool='' watcher=''
# What we say when nobody listens any more must not end us.
trap "" PIPE
exec 3<&0

finish() {
  status=$1
  shift
  trap '' TERM INT HUP
  [ -n "$tool" ] && kill -TERM "$tool" 2>/dev/null && wait "$tool"
  gpioset "$@" --toggle 0 "$inactive" 2>/dev/null 3<&-
  kill -TERM "$watcher" 2>/dev/null
  exit "$status"
}
trap 'finish 0 "$@"' TERM INT HUP

{
  cat <&3 >/dev/null
  if kill -TERM "$self" 2>/dev/null; then
    # A shell may overlook a signal that comes just before it waits.
    while sleep 0.2 && kill -TERM "$self" 2>/dev/null; do :; done
  else
    # Without us nobody would ever end gpioset.
    sleep "$seconds"
    kill -TERM 0
  fi
} &
watcher=$!

if [ -n "$periods" ]; then
  gpioset "$@" --banner --toggle "$periods" "$active" 3<&- &
  tool=$!
  wait "$tool" || finish $? "$@"
  echo rest
fi
gpioset "$@" --banner "$inactive" 3<&- &
tool=$!
wait "$tool"
finish $? "$@"

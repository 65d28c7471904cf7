#!/bin/sh
# Lets gpiomon watch an input line for as long as the agent lives: without it the line would stay in use.
#
# usage: input.sh <arguments of gpiomon>...
exec 3<&0
gpiomon "$@" 3<&- &
tool=$!
{
  cat <&3 >/dev/null
  kill -TERM "$tool" 2>/dev/null
} &
watcher=$!
trap 'kill -TERM "$tool" 2>/dev/null' TERM INT HUP
wait "$tool"
status=$?
kill -TERM "$watcher" 2>/dev/null
exit "$status"

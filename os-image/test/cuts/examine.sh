#!/bin/sh
# Mends a copy of the data partition as a start of the box does, looks whether it is whole then, and takes out what the test
# wants to see. Runs inside the toolbox, for one folder after the other: reads their names, answers each with a line.
# In a folder: data.img → said, mended (exit code of the repair), whole (of the check after it), files/{media,state}
set -u
while read -r folder; do
  cd "$folder" || exit 1
  rm -rf files said
  mkdir -p files/state
  e2fsck -p data.img >said 2>&1
  echo $? >mended
  e2fsck -fn data.img >>said 2>&1
  echo $? >whole
  # Not the bundle that is being fetched.
  debugfs -R 'ls -p /spyoncino/state' data.img 2>/dev/null |
    awk -F / '$3 ~ /^10/ && $7 < 33554432 { printf "dump \"/spyoncino/state/%s\" \"files/state/%s\"\n", $6, $6 }' >wanted
  printf '%s\n' 'rdump /spyoncino/media files' >>wanted
  sed 's/.*/dump "\/&" "files\/&"/' confirmed >>wanted
  while read -r path; do mkdir -p "files/$(dirname "$path")"; done <confirmed
  debugfs -f wanted data.img >/dev/null 2>&1
  echo 'done'
done

#!/bin/sh
# Copies a volume of the registry into a tar while the registry goes on, so that the copy is whole.
#
#   ./backup.sh VOLUME FILE.tar      VOLUME is the folder that has docker/ in it, such as
#                                    $(docker volume inspect -f '{{.Mountpoint}}' registry_data)
#
# To restore it, extract it into an empty volume: tar -C VOLUME -xpf FILE.tar. `registry verify` tells whether all is there.
#
# The order is what makes it whole. Links come first, then the content that they point to: content is written before its link,
# and goes only long after, by way of the quarantine, which comes last. So whatever link is in the copy, its content is. With
# `durability: group` what was answered within the last minute may only be in the journal and is missing.
set -eu
volume=${1:?usage: ./backup.sh VOLUME FILE.tar}
file=${2:?usage: ./backup.sh VOLUME FILE.tar}
root=docker/registry/v2
quarantine=
if [ -d "$volume/$root/_gc" ]; then quarantine=$root/_gc; fi
status=0
# Uploads under way are left out: their clients begin anew. 1 says that a folder changed meanwhile, which is what it is for.
tar -C "$volume" --create --file "$file.part" --exclude='_uploads' --exclude='_gc/lock' --exclude='_gc/reserve' \
    --warning=no-file-changed --warning=no-file-removed --ignore-failed-read --sort=name \
    "$root/repositories" "$root/blobs" $quarantine || status=$?
if [ "$status" -gt 1 ]; then exit "$status"; fi
mv "$file.part" "$file"

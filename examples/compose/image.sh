#!/bin/sh
# Builds the image: a static binary, and an image of it alone.
#
#   ./image.sh [NAME]      NAME is registry:local unless told otherwise; DOCKER=podman builds with podman
set -eu
cd "$(dirname "$0")"
name=${1:-registry:local}
target=$(rustc -vV | sed -n 's/^host: //p')
root=../..

# A target of its own name keeps the flags off the build scripts.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --release --locked --package registry-bin --target "$target" --manifest-path "$root/Cargo.toml" \
    ${FEATURES:+--features "$FEATURES"}
rm -rf image
mkdir -p image/volume
cp "${CARGO_TARGET_DIR:-$root/target}/$target/release/registry" image/registry
cp image.yml image/config.yml
"${DOCKER:-docker}" build --tag "$name" .
"${DOCKER:-docker}" image inspect --format "$name: {{.Size}} bytes" "$name"

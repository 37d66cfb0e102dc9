# What the real clients need: a docker engine started by hand, storage of their own, and images of real size.

# client_homes: every client keeps its settings and its storage in this step's work folder, never in the user's.
client_homes() {
    export HOME=$WORK/home XDG_RUNTIME_DIR=$WORK/home/run DOCKER_CONFIG=$WORK/home/docker
    export REGISTRY_AUTH_FILE=$WORK/home/auth.json REGCTL_CONFIG=$WORK/home/regctl.json
    export CONTAINERS_STORAGE_CONF=$WORK/home/storage.conf CONTAINERS_REGISTRIES_CONF=$WORK/home/registries.conf
    export BUILDAH_ISOLATION=chroot
    unset DOCKER_HOST DOCKER_CONTEXT XDG_CONFIG_HOME XDG_DATA_HOME
    mkdir -p "$HOME" "$XDG_RUNTIME_DIR" "$DOCKER_CONFIG" "$HOME/.config/containers"
    # vfs needs no mount, so nothing is left mounted when a step is cut off.
    printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' \
        "$WORK/home/storage" "$WORK/home/run/storage" >"$CONTAINERS_STORAGE_CONF"
    printf 'unqualified-search-registries = []\n' >"$CONTAINERS_REGISTRIES_CONF"
    printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >"$HOME/.config/containers/policy.json"
    printf '{}\n' >"$REGISTRY_AUTH_FILE"
}

# regctl_plain ADDR: regctl takes no address without TLS until it is told so.
regctl_plain() { regctl registry set --skip-check --tls disabled "$1"; }

# dockerd_start: an engine without network and without images, reached through DOCKER_HOST.
dockerd_start() {
    # A socket's path may have no more than 107 bytes, so it does not go below the work folder.
    DOCKER_RUN=$(mktemp -d /tmp/dockerd.XXXXXX)
    dockerd --data-root "$WORK/docker" --exec-root "$DOCKER_RUN/exec" --pidfile "$DOCKER_RUN/pid" \
        -H "unix://$DOCKER_RUN/sock" --storage-driver vfs --bridge=none --iptables=false --ip6tables=false \
        >"$WORK/dockerd.log" 2>&1 </dev/null &
    DOCKERD_PID=$!
    own "$DOCKERD_PID"
    export DOCKER_HOST=unix://$DOCKER_RUN/sock
    READY_SECONDS=60 ready dockerd "$DOCKERD_PID" "$WORK/dockerd.log" docker version
    say "dockerd $(docker version --format '{{.Server.Version}}') runs as process $DOCKERD_PID"
}

dockerd_stop() {
    [ -n "${DOCKERD_PID:-}" ] || return 0
    end_process "$DOCKERD_PID"
    disown_pid "$DOCKERD_PID"
    # Containers on the host's network leave a mount.
    umount "$DOCKER_RUN/exec/netns/default" 2>/dev/null || true
    rm -rf "$DOCKER_RUN"
    DOCKERD_PID=
}

# debian_rootfs: prints the path of a tar of a small but real Debian, made once and kept.
debian_rootfs() {
    local tar=$CI_DIR/debian-bookworm.tar
    if [ ! -s "$tar" ]; then
        debootstrap --variant=minbase bookworm "$WORK/rootfs" >"$WORK/debootstrap.log" 2>&1 || {
            tail -n 20 "$WORK/debootstrap.log" >&2
            return 1
        }
        rm -rf "$WORK/rootfs"/var/cache/apt/archives/*.deb "$WORK/rootfs"/var/lib/apt/lists/*
        tar --numeric-owner -C "$WORK/rootfs" -cf "$tar.part" .
        mv "$tar.part" "$tar"
        rm -rf "$WORK/rootfs"
    fi
    printf '%s\n' "$tar"
}

# layer_tar NAME BYTES: prints the path of a tar with one file of random bytes.
layer_tar() {
    mkdir -p "$WORK/layer/$1"
    head -c "$2" /dev/urandom >"$WORK/layer/$1/$1.bin"
    tar -C "$WORK/layer/$1" -cf "$WORK/layer-$1.tar" .
    printf '%s\n' "$WORK/layer-$1.tar"
}

ACCEPT='Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json'
ACCEPT+=', application/vnd.docker.distribution.manifest.v2+json'
ACCEPT+=', application/vnd.docker.distribution.manifest.list.v2+json'

# manifest_digest ADDR REPOSITORY REFERENCE: the digest of the bytes that come, whatever the headers say.
manifest_digest() {
    printf 'sha256:%s\n' "$(
        curl -fsS --max-time 60 -H "$ACCEPT" \
            "http://$1/v2/$2/manifests/$3" | sha256sum | cut -d ' ' -f 1
    )"
}

# status_of METHOD URL: the HTTP status alone.
status_of() {
    local how=(-X "$1")
    # -X HEAD would wait for a body that never comes.
    [ "$1" != HEAD ] || how=(--head)
    curl -sS --max-time 60 -H "$ACCEPT" -o /dev/null -w '%{http_code}' "${how[@]}" "$2"
}

# Services that speak the protocol of S3, each with an empty bucket `registry`, and registries over them.
#
# moto is written for tests, in Python; MinIO is a real server. Both refuse to create what is there.

MOTO=5.2.5
VENV=$CI_DIR/venv
BUCKET_USER=accesskey BUCKET_PASSWORD=secretkey

install_moto() {
    if [ "$(cat "$VENV/.moto.version" 2>/dev/null)" = "$MOTO" ]; then return; fi
    say "pip install moto[server] $MOTO"
    rm -rf "$VENV"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$MOTO"
    printf '%s\n' "$MOTO" >"$VENV/.moto.version"
}

# bucket_start moto|minio: ENDPOINT tells where it is.
bucket_start() {
    local pid port
    port=$(free_port)
    ENDPOINT=http://127.0.0.1:$port
    case $1 in
    moto)
        install_moto
        "$VENV/bin/moto_server" -H 127.0.0.1 -p "$port" >"$WORK/moto.log" 2>&1 </dev/null &
        ;;
    minio)
        need minio
        MINIO_ROOT_USER=$BUCKET_USER MINIO_ROOT_PASSWORD=$BUCKET_PASSWORD MINIO_BROWSER=off \
            minio server --quiet --address "127.0.0.1:$port" "$WORK/minio" >"$WORK/minio.log" 2>&1 </dev/null &
        ;;
    *) fail "no such service: $1" ;;
    esac
    pid=$!
    own "$pid"
    # The bucket is there as soon as the server answers.
    ready "$1" "$pid" "$WORK/$1.log" curl -fsS -X PUT -u "$BUCKET_USER:$BUCKET_PASSWORD" \
        --aws-sigv4 aws:amz:us-east-1:s3 "$ENDPOINT/registry"
    say "$1 runs as process $pid at $ENDPOINT"
}

# bucket_settings [ENDPOINT]: what stands in `storage.s3` beside the folder.
bucket_settings() {
    printf 'bucket: registry, region: us-east-1, regionendpoint: "%s", accesskey: %s, secretkey: %s, forcepathstyle: true' \
        "${1:-$ENDPOINT}" "$BUCKET_USER" "$BUCKET_PASSWORD"
}

# bucket_registry NAME FOLDER STORAGE [LINES] [ENDPOINT]: writes NAME.yml, for a registry in a folder of the bucket. STORAGE is
# what else stands in `storage`, LINES what else in the configuration. ADDR is where it will listen.
bucket_registry() {
    ADDR=127.0.0.1:$(free_port)
    cat >"$WORK/$1.yml" <<CONFIG
version: 0.1
log: {level: ${LOG_LEVEL:-warn}, accesslog: {disabled: true}}
http: {addr: "$ADDR"}
storage: {s3: {$(bucket_settings "${5:-$ENDPOINT}"), rootdirectory: /$2}, delete: {enabled: true}${3:+, $3}}
${4:-}
CONFIG
}

# registry_over_s3: PROGRAM is a registry that knows buckets.
registry_over_s3() {
    cargo build --locked --quiet --package registry-bin --features s3
    PROGRAM=$CARGO_TARGET_DIR/debug/registry
}

# registry_run NAME: runs PROGRAM with NAME.yml until the step ends; RUN_PID is its process.
registry_run() {
    run_plain "$PROGRAM" serve "$WORK/$1.yml" >>"$WORK/$1.log" 2>&1 </dev/null &
    RUN_PID=$!
    own "$RUN_PID"
    server_ready "$(sed -n 's/^http: {addr: "\([^"]*\)".*/\1/p' "$WORK/$1.yml")" "$RUN_PID" || {
        tail -n 30 "$WORK/$1.log" >&2
        fail "$1 did not start"
    }
}

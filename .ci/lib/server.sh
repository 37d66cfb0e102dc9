# Starts and stops registries: ours, and the two that it must be able to stand in for.
#
# CI_SERVER says which one a step tests: ours (default), v3 or v2 (CNCF Distribution 3 and 2.8). With a peer in our
# place a failure shows whether the step or the server is wrong.

CI_SERVER=${CI_SERVER:-ours}

declare -A SERVER_PID SERVER_ADDR SERVER_LOG

# server_command KIND: the program, as words for an array.
server_command() {
    case $1 in
    ours) echo "${REGISTRY_BINARY:-$CARGO_TARGET_DIR/release/registry}" ;;
    v3) echo "$TOOLS/distribution" ;;
    v2) echo docker-registry ;;
    *) fail "no such server: $1" ;;
    esac
}

# free_port: a port of 127.0.0.1 that nobody listens on now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# server_config KIND STORAGE FOLDER ADDR: prints a configuration. STORAGE is filesystem, group (the same with a journal,
# where it is ours) or inmemory; REFERENCES=sparse in the environment lets manifests name what is not there (only ours
# knows it), SERVER_TLS holds what stands in `http.tls`, SERVER_LINES further lines, SERVER_MAINTENANCE what stands in
# `storage.maintenance`.
server_config() {
    local durability=
    [ "$1-$2" != ours-group ] || durability=', durability: group'
    cat <<CONFIG
version: 0.1
log: {level: ${LOG_LEVEL:-warn}, accesslog: {disabled: true}}
http: {addr: "$4", secret: a-secret-for-tests${SERVER_TLS:+, tls: {$SERVER_TLS\}}}
CONFIG
    if [ -n "${SERVER_LINES:-}" ]; then printf '%s\n' "$SERVER_LINES"; fi
    case $2 in
    filesystem | group)
        printf 'storage: {filesystem: {rootdirectory: "%s"%s}, delete: {enabled: true}%s}\n' \
            "$3" "$durability" "${SERVER_MAINTENANCE:+, maintenance: {$SERVER_MAINTENANCE\}}"
        ;;
    inmemory) printf 'storage: {inmemory: {}, delete: {enabled: true}}\n' ;;
    *) fail "no such storage: $2" ;;
    esac
    if [ "$1" = ours ] && [ "${REFERENCES:-required}" = sparse ]; then
        printf 'validation: {manifests: {references: sparse}}\n'
    fi
}

# server_ready ADDR PID: waits until the API answers, if only to ask for a login, at most 30 s, or the process is gone.
server_ready() {
    local tries=0 url=http${SERVER_TLS:+s}://$1/v2/
    until [[ $(curl -sk -o /dev/null -w '%{http_code}' "$url") == @(200|401) ]]; do
        tries=$((tries + 1))
        kill -0 "$2" 2>/dev/null || return 1
        [ "$tries" -lt 300 ] || return 1
        sleep 0.1
    done
}

# run_plain COMMAND...: takes this process's place, without the settings that a registry would read from the environment.
# podman's REGISTRY_AUTH_FILE is one that would be taken for a setting of the server.
run_plain() {
    unset "${!REGISTRY_@}" "${!OTEL_@}"
    OTEL_TRACES_EXPORTER=none exec "$@"
}

# server_start NAME KIND STORAGE FOLDER: SERVER_ADDR[NAME], SERVER_PID[NAME] and SERVER_LOG[NAME] tell where it is.
server_start() {
    local name=$1 kind=$2 storage=$3 folder=$4 addr program
    program=$(server_command "$kind")
    command -v "$program" >/dev/null || fail "$program is missing; build it (cargo build --release) or run .ci/tools"
    mkdir -p "$folder"
    addr=127.0.0.1:$(free_port)
    server_config "$kind" "$storage" "$folder" "$addr" >"$WORK/$name.yml"
    SERVER_LOG[$name]=$WORK/$name.log
    run_plain "$program" serve "$WORK/$name.yml" >>"$WORK/$name.log" 2>&1 </dev/null &
    SERVER_PID[$name]=$!
    SERVER_ADDR[$name]=$addr
    own "$!"
    if ! server_ready "$addr" "${SERVER_PID[$name]}"; then
        tail -n 30 "$WORK/$name.log" >&2
        fail "the $kind server did not start"
    fi
    say "$kind over $storage listens on $addr as process ${SERVER_PID[$name]}"
}

# server_stop NAME [SIGNAL]
server_stop() {
    end_process "${SERVER_PID[$1]}" "${2:-TERM}"
    disown_pid "${SERVER_PID[$1]}"
    unset "SERVER_PID[$1]"
}

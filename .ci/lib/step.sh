# What every step starts with: strict mode, the paths, the counters, and an end that leaves nothing behind.
#
# Source it first:  . "$(dirname "$0")/lib/step.sh"

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$ROOT"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$ROOT/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

# Everything a step makes lies here: tools, images, reports, and the work folders that are removed at the end.
CI_DIR=$ROOT/target/ci
TOOLS=$CI_DIR/tools/bin
LIB=$ROOT/.ci/lib
mkdir -p "$CI_DIR" "$TOOLS"

# Our tools come first. Go and cargo lie outside of a bare PATH on many machines.
PATH=$TOOLS:$PATH
for folder in "$HOME/.cargo/bin" /usr/local/go/bin /usr/sbin /sbin; do
    case ":$PATH:" in *":$folder:"*) ;; *) PATH=$PATH:$folder ;; esac
done
export PATH

STEP=$(basename "$0")
WORK=$(mktemp -d "$CI_DIR/$STEP.XXXXXX")
OWN_PIDS=()
PASSED=0
FAILED=0

say() { printf '%s: %s\n' "$STEP" "$*"; }

fail() {
    printf '%s: FAILED: %s\n' "$STEP" "$*" >&2
    exit 1
}

# need TOOL...: a missing tool fails the step. It never makes it pass.
need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "$tool is not installed; run .ci/tools"
    done
}

# own PID: a process that this step started, to be ended with it.
own() { OWN_PIDS+=("$1"); }

# disown_pid PID: it ended, so its number may soon be another's.
disown_pid() {
    local pid kept=()
    for pid in "${OWN_PIDS[@]+"${OWN_PIDS[@]}"}"; do [ "$pid" = "$1" ] || kept+=("$pid"); done
    OWN_PIDS=("${kept[@]+"${kept[@]}"}")
}

# end_process PID [SIGNAL]: sends the signal, then waits until the process is gone; after 20 s it is killed.
end_process() {
    local pid=$1 tries=0
    kill "-${2:-TERM}" "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.1
    done
    wait "$pid" 2>/dev/null || true
}

# A step that keeps more than processes and its work folder defines `before_end`.
at_end() {
    local status=$? pid
    trap - EXIT INT TERM
    set +e
    if declare -F before_end >/dev/null; then before_end; fi
    for pid in "${OWN_PIDS[@]+"${OWN_PIDS[@]}"}"; do end_process "$pid"; done
    rm -rf "$WORK"
    exit "$status"
}
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# check TEXT COMMAND...: runs the command in a shell of its own, counts it, and shows its output when it failed.
check() {
    local text=$1 status
    shift
    set +e
    (
        trap - EXIT
        set -e
        "$@"
    ) >"$WORK/check.log" 2>&1
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then
        PASSED=$((PASSED + 1))
        printf 'ok    %s\n' "$text"
    else
        FAILED=$((FAILED + 1))
        printf 'FAIL  %s (exit %s)\n' "$text" "$status"
        sed 's/^/      | /' "$WORK/check.log" | tail -n 40
    fi
}

# counted TEXT COMMAND...: a check whose last lines are shown when it passed, too.
counted() {
    check "$@"
    sed 's/^/      | /' "$WORK/check.log" | tail -n 5
}

# ready NAME PID LOG COMMAND...: waits until the command succeeds, at most READY_SECONDS (30), or the process is gone.
ready() {
    local name=$1 pid=$2 log=$3 tries=0
    shift 3
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge $((${READY_SECONDS:-30} * 10)) ] || ! kill -0 "$pid" 2>/dev/null; then
            tail -n 30 "$log" >&2
            fail "$name did not start"
        fi
        sleep 0.1
    done
}

# listener NAME COMMAND...: starts a program that prints the address on which it listens; LISTENS is that address.
listener() {
    local name=$1
    shift
    "$@" >"$WORK/$name" 2>"$WORK/$name.log" </dev/null &
    own "$!"
    ready "$name" "$!" "$WORK/$name.log" grep -q . "$WORK/$name"
    LISTENS=$(cat "$WORK/$name")
}

# closing: the last line of a step that counts, and its exit code. A step that checked nothing did not pass.
closing() {
    printf '%s: %s passed, %s failed\n' "$STEP" "$PASSED" "$FAILED"
    [ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

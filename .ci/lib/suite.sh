# The official OCI conformance suite, with every optional part on.
#
# Reports stay in target/ci/conformance/NAME: report.html for people, results.yaml and junit.xml for tools.

MINIMUM=${MINIMUM:-1030}

# suite NAME ADDR [VARIABLE=VALUE...]: passes when nothing failed, nothing was skipped, and at least MINIMUM checks passed.
# What the suite itself leaves out is named.
suite() {
    local name=$1 addr=$2 report=$CI_DIR/conformance/$1
    shift 2
    rm -rf "$report"
    mkdir -p "$report" "$WORK/empty"
    # The suite reads a configuration from its working folder if there is one: it gets an empty folder. Its exit code says
    # less than its report, so the report is what counts.
    (
        cd "$WORK/empty"
        env OCI_REGISTRY="$addr" OCI_TLS=disabled OCI_VERSION=dev OCI_DATA_SPARSE=true \
            OCI_REPO1=conformance/repo1 OCI_REPO2=conformance/repo2 OCI_RESULTS_DIR="$report" "$@" \
            conformance >"$report/output.log" 2>&1
    ) || say "the suite exited with a failure; its report says why"
    python3 "$LIB/conformance.py" "$report" "$MINIMUM" "$name"
}

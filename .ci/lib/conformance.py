"""Judges one report of the OCI conformance suite: conformance.py REPORT_FOLDER MINIMUM NAME.

Prints the suite's own counts and the names behind every count that is not a pass. Exit 0 only if nothing failed,
nothing was skipped, and at least MINIMUM checks passed.
"""

import pathlib
import sys
import xml.etree.ElementTree


def not_passed(suites):
    """(word, name) of every test case that did not pass. The suite writes disabled cases down as skipped ones."""
    for case in suites.iter("testcase"):
        if case.get("status") != "passed":
            name = case.get("name").removeprefix("OCI Conformance Test/")
            yield {"failure": "FAIL", "error": "Error", "skipped": "Skip"}[case.get("status")], name


def disabled_groups(report):
    """What the suite's summary of APIs and data sets calls disabled."""
    lines = (report / "results.yaml").read_text().splitlines()
    return [line.split(":")[0].strip() for line in lines if line.startswith("  ") and line.endswith(": Disabled")]


def main():
    report, minimum, name = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    suites = xml.etree.ElementTree.parse(report / "junit.xml").getroot()
    fail, error, skip, disabled = (
        int(suites.get(key) or 0) for key in ("failures", "errors", "skipped", "disabled")
    )
    passed = int(suites.get("tests")) - fail - error - skip - disabled
    for word, case in not_passed(suites):
        print(f"{word:8}  {case}")
    for group in disabled_groups(report):
        print(f"Disabled  {group}")
    print(
        f"conformance over {name}: {passed} Pass, {fail} FAIL, {error} Error, {skip} Skip, {disabled} Disabled"
        f" (wanted: 0 FAIL, 0 Error, 0 Skip, at least {minimum} Pass)"
    )
    return 0 if passed >= minimum and not (fail or error or skip) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Reads the sources of the crates named on the command line and reports what stands in the wrong room.

Only the part of a file before its `#[cfg(test)]` module counts: tests may use files and clocks as they like.
"""

import pathlib
import re
import sys

MAX_LINES = 600
# Names that say nothing about what is inside.
NAMELESS = {"utils", "util", "common", "helpers", "types", "misc", "models", "services"}
# (what, pattern, crates that may)
RULES = [
    ("the environment", r"\bstd::env\b|\benv::(var|vars|args|current_dir)\b", {"registry-bin"}),
    # The type of an open file may pass through: a storage may hand one out. To open one is what is meant here.
    (
        "files",
        r"\b(std|tokio)::fs\b(?!::File\b)|\bFile::(open|create|options)\w*\b|\bOpenOptions\b",
        {"registry-bin", "registry-storage"},
    ),
    ("the process", r"\bprocess::(exit|abort|Command)\b|\bpanic::set_hook\b", {"registry-bin"}),
    ("something global", r"\bset_global_default\b|\binstall_default\b|\bset_global_recorder\b", {"registry-bin"}),
    ("standard output", r"\be?print(ln)?!", {"registry-bin"}),
]


def shipped_lines(path):
    """The numbered lines of a file that reach a user: before its tests, comments taken out."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if re.match(r"\s*#\[cfg\((all\()?test\b", line) and number > 1:
            following = path.read_text().splitlines()[number : number + 3]
            if any(re.match(r"\s*(pub )?mod \w+ \{", text) for text in following):
                return
        yield number, re.sub(r"//.*", "", line)


def is_test(path):
    """A file that is a test as a whole."""
    return path.stem in {"tests", "test_util"} or "tests" in path.parts


def complaints(crate):
    for path in sorted(pathlib.Path(crate, "src").rglob("*.rs")):
        if is_test(path):
            continue
        lines = list(shipped_lines(path))
        if path.stem in NAMELESS:
            yield f"{path}: its name does not say what is in it"
        if len(lines) > MAX_LINES:
            yield f"{path}: {len(lines)} lines before its tests; at most {MAX_LINES}"
        for what, pattern, allowed in RULES:
            if crate not in allowed:
                yield from (f"{path}:{n}: {crate} uses {what}: {t.strip()}" for n, t in lines if re.search(pattern, t))


def main():
    crates = sys.argv[1:]
    found = [complaint for crate in crates for complaint in complaints(crate)]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

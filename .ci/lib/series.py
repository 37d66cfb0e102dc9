"""Whether the series of one registry are among those of another: names, labels, buckets.

    series.py OURS THEIRS PREFIX...

Both files are what Prometheus is told. Every series of THEIRS whose name begins with a PREFIX must be in OURS under the
same name, with labels of the same names, and with the same buckets.
"""

import re
import sys

LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def series(path):
    """Label names and bounds of buckets, by name."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            match = LINE.match(line.rstrip("\n"))
            if line.startswith("#") or not match:
                continue
            labels = dict(LABEL.findall(match[2] or ""))
            bound = labels.pop("le", None)
            names, bounds = found.setdefault(match[1], (set(), set()))
            names.add(tuple(sorted(labels)))
            if bound is not None:
                bounds.add(float(bound))
    return found


def main():
    ours, theirs = series(sys.argv[1]), series(sys.argv[2])
    prefixes = tuple(sys.argv[3:])
    compared, differing = 0, 0
    for name in sorted(name for name in theirs if name.startswith(prefixes)):
        compared += 1
        if name not in ours:
            print(f"missing: {name}")
            differing += 1
        elif ours[name] != theirs[name]:
            print(f"other: {name}: {ours[name]} is not {theirs[name]}")
            differing += 1
        else:
            print(f"same: {name}")
    print(f"{compared} compared, {differing} differ")
    sys.exit(1 if differing or not compared else 0)


main()

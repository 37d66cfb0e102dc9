"""Reads what strace wrote of a server, and checks the order in which one push was made durable.

    syscalls.py TRACE ROOT REPOSITORY blob DIGEST
    syscalls.py TRACE ROOT REPOSITORY manifest DIGEST TAG

The trace is of `strace -f -y`: a descriptor stands with its path, and calls of several threads are mixed.
"""

import re
import sys
from typing import NamedTuple

SYNCS = ("fsync", "fdatasync")
LINKS = ("link", "linkat")
RENAMES = ("rename", "renameat", "renameat2")
ANSWERS = ("write", "writev", "sendto", "sendmsg")


class Call(NamedTuple):
    """A call that succeeded, and the lines of the trace at which it began and ended."""

    name: str
    text: str
    begin: int
    end: int


class Disorder(Exception):
    """A call is missing, or stands in the wrong place."""


def calls_of(lines):
    """The calls in the order of their ends."""
    under_way = {}
    for number, line in enumerate(lines):
        process, _, rest = line.rstrip("\n").partition(" ")
        rest = rest.lstrip()
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
        if rest.endswith("<unfinished ...>"):
            # The blank before the mark is not of the call.
            under_way[process] = (number, rest.removesuffix("<unfinished ...>").rstrip())
            continue
        begin = number
        if resumed:
            if process not in under_way:
                continue
            begin, head = under_way.pop(process)
            rest = head + resumed[1]
        found = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", rest)
        if found and int(found[3]) >= 0:
            yield Call(found[1], found[2], begin, number)


class Trace:
    def __init__(self, path):
        with open(path, errors="replace") as lines:
            self.calls = list(calls_of(lines))

    def first(self, what, names, matches, after=-1):
        """The first such call that began behind a line."""
        for call in self.calls:
            if call.name in names and call.begin > after and matches(call.text):
                return call
        raise Disorder(f"{what} does not happen behind line {after + 1}")

    def synced(self, path, after):
        on_path = lambda text: text.endswith(f"<{path}>")
        return self.first(f"a sync of {path}", SYNCS, on_path, after)

    def written(self, path, after):
        """A file is synced aside, renamed into place, and its directory synced. Gives the last line of that."""
        renamed = self.first(f"a rename to {path}", RENAMES, lambda text: f'"{path}"' in text, after)
        aside = re.search(r'"([^"]*/_tmp/[^"]*)"', renamed.text)
        if aside is None:
            raise Disorder(f"{path} is not renamed from among the files on their way: {renamed.text}")
        made = self.first(f"the creation of {aside[1]}", ("openat",), lambda text: f'"{aside[1]}"' in text, after)
        synced = self.synced(aside[1], made.end)
        if synced.end >= renamed.begin:
            raise Disorder(f"{path} takes its place before its bytes are synced")
        return self.synced(path.rpartition("/")[0], renamed.end).end

    def acknowledged(self, after):
        """The answer goes out behind a line, and none went out before."""
        answer = lambda text: '"HTTP/1.1 201' in text
        return self.first("the answer", ANSWERS, answer, after)


def path_of(digest):
    return digest.replace(":", "/")


def blob_path(root, digest):
    algorithm, _, value = digest.partition(":")
    return f"{root}/blobs/{algorithm}/{value[:2]}/{value}/data"


def check_blob(trace, root, repository, digest):
    blob = blob_path(root, digest)
    linked = trace.first(f"a link to {blob}", LINKS, lambda text: f'"{blob}"' in text)
    upload = re.search(r'"([^"]*/_uploads/[^"]*/data)"', linked.text)
    if upload is None:
        raise Disorder(f"{blob} is not made of an upload: {linked.text}")
    if trace.synced(upload[1], -1).end >= linked.begin:
        raise Disorder(f"{blob} takes its place before its bytes are synced")
    durable = trace.synced(blob.rpartition("/")[0], linked.end)
    end = trace.written(f"{root}/repositories/{repository}/_layers/{path_of(digest)}/link", durable.end)
    return linked.begin, end


def check_manifest(trace, root, repository, digest, tag):
    manifests = f"{root}/repositories/{repository}/_manifests"
    first = end = None
    for path in (
        blob_path(root, digest),
        f"{manifests}/revisions/{path_of(digest)}/link",
        f"{manifests}/tags/{tag}/index/{path_of(digest)}/link",
        f"{manifests}/tags/{tag}/current/link",
    ):
        end = trace.written(path, -1 if end is None else end)
        first = end if first is None else first
    return first, end


def main():
    trace, (root, repository, kind, *about) = Trace(sys.argv[1]), sys.argv[2:]
    check = {"blob": check_blob, "manifest": check_manifest}[kind]
    try:
        begin, end = check(trace, root, repository, *about)
        early = trace.acknowledged(begin)
        if early.begin <= end:
            raise Disorder(f"the push is acknowledged at line {early.begin + 1}, and durable at line {end + 1}")
    except Disorder as wrong:
        print(wrong)
        return 1
    print(f"durable at line {end + 1}, acknowledged at line {early.begin + 1}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

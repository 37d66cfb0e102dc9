"""A proxy in front of a service: counts what is asked of one that speaks S3, makes it fail as told, and takes turns.

proxy.py HOST:PORT...              prints the address that it listens on; of several services each request goes to the next

    GET /-/counts                  what was asked since the last time, as JSON: kind of request and number; how many
                                   requests for objects were under way at once, and how many bytes of them went by
    GET /-/pace?bytes=N            from now on an answer brings N bytes in a second at most; 0: any
    GET /-/faults?rate=R&seed=N&kinds=A,B   from now on a request in 1/R goes wrong, in one of these ways:
        refused      503 SlowDown, and nothing was done
        failed       500 InternalError, and nothing was done
        lost         it was done, and the connection is reset instead of an answer
        cut          of an answer with content a part comes, and the connection is reset
        silent       nothing was done, and no answer comes for 30 seconds; a tenth as often as the others
        crawling     the answer comes, its first 10 bytes one each 0.2 seconds
        late         of a delete: the connection is reset at once, and it is done 3 seconds later
        short        of a list: half of it comes, and the rest when the client goes on
        repeated     likewise, but then all of it comes once more
        slow         of a read: it is done 2 seconds later

Each request is decided by itself, in the order in which they come.
"""

import asyncio
import collections
import itertools
import json
import random
import re
import sys
from urllib.parse import parse_qs, urlsplit

COUNTS = collections.Counter()
FAULTS = {"rate": 0.0, "kinds": [], "random": random.Random(0)}
INJECTED = collections.Counter()
# Requests for objects under way, and the bytes of these objects.
READS = {"now": 0, "most": 0, "bytes": 0}
# So many bytes an answer brings in a second at most; 0: any.
PACE = {"bytes": 0}
BLOCK = 256 * 1024
# What fails one kind of request alone.
ONLY = {"late": ("DeleteObject",), "short": ("ListObjects",), "repeated": ("ListObjects",), "slow": ("GetObject", "HeadObject")}
# Answers to those who go on with a list that was cut in two, by the token that they got.
HELD = {}
ENTRY = re.compile(rb"<(Contents|CommonPrefixes)>.*?</\1>", re.S)
NAME = re.compile(rb"<(?:Key|Prefix)>(.*?)</")


def kind_of(method, path, headers):
    """The name that the protocol has for a request."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    copies = "x-amz-copy-source" in headers
    if method == "PUT" and "partNumber" in query:
        return "UploadPartCopy" if copies else "UploadPart"
    if method == "PUT":
        return "CopyObject" if copies else "PutObject"
    if method == "POST":
        return next(
            (name for key, name in (("uploads", "CreateMultipartUpload"), ("delete", "DeleteObjects")) if key in query),
            "CompleteMultipartUpload",
        )
    if method == "GET" and ("list-type" in query or "prefix" in query):
        return "ListMultipartUploads" if "uploads" in query else "ListObjects"
    if method == "GET" and "uploadId" in query:
        return "ListParts"
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    return {"GET": "GetObject", "HEAD": "HeadObject"}.get(method, method)


async def read_head(reader):
    """First line and headers as they are, and the headers by their lower-case names; None at the end."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lines = raw.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return raw, lines[0], headers


async def pass_on(reader, writer, headers, *, bodyless=False, limit=None):
    """A body, as its headers delimit it; at most `limit` bytes of it. Whether all of it came."""
    if bodyless:
        return True
    if "chunked" in headers.get("transfer-encoding", ""):
        while True:
            line = await reader.readline()
            writer.write(line)
            size = int(line.split(b";")[0], 16)
            writer.write(await reader.readexactly(size + 2))
            await writer.drain()
            if size == 0:
                return True
    left = int(headers.get("content-length", 0))
    left = left if limit is None else min(left, limit)
    while left:
        block = await reader.read(min(left, BLOCK))
        if not block:
            raise ConnectionResetError
        left -= len(block)
        writer.write(block)
        await writer.drain()
    return True


class Nowhere:
    """Takes what is of no interest."""

    def write(self, _):
        pass

    async def drain(self):
        pass


class Kept(Nowhere):
    """Keeps a small body."""

    def __init__(self):
        self.content = bytearray()

    def write(self, block):
        self.content += block


class Paced:
    """Passes what an answer brings on, no faster than is allowed, and counts it."""

    def __init__(self, writer):
        self.writer = writer

    def write(self, block):
        READS["bytes"] += len(block)
        self.block = len(block)
        self.writer.write(block)

    async def drain(self):
        await self.writer.drain()
        if PACE["bytes"]:
            await asyncio.sleep(self.block / PACE["bytes"])


def fault_for(kind):
    """How this request goes wrong; None if it does not."""
    draw = FAULTS["random"]
    if not FAULTS["rate"] or draw.random() >= FAULTS["rate"]:
        return None
    kinds = [fault for fault in FAULTS["kinds"] if kind.startswith(ONLY.get(fault, ("",)))]
    if not kinds:
        return None
    fault = draw.choices(kinds, [1 if kind == "silent" else 10 for kind in kinds])[0]
    if "late" in kinds and draw.random() < 0.3:
        fault = "late"
    INJECTED[fault] += 1
    return fault


def answer(status, code):
    return xml(status, f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as told</Message></Error>".encode())


def xml(status, body):
    return b"HTTP/1.1 %s\r\ncontent-type: application/xml\r\ncontent-length: %d\r\n\r\n" % (status.encode(), len(body)) + body


def cut_in_two(page, fault):
    """The first half of a list; what comes behind it is held. None if there are no two halves."""
    entries = sorted((found.group() for found in ENTRY.finditer(page)), key=lambda entry: NAME.search(entry).group(1))
    if len(entries) < 2:
        return None
    first, rest = entries[: len(entries) // 2], entries[len(entries) // 2 :]
    frame, end = re.sub(rb"<KeyCount>.*?</KeyCount>", b"", ENTRY.sub(b"", page)), b"</ListBucketResult>"
    token = f"held-{len(HELD)}"
    HELD[token] = frame.replace(end, b"".join(entries if fault == "repeated" else rest) + end)
    frame = re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>|<IsTruncated>.*?</IsTruncated>", b"", frame)
    goes_on = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>".encode()
    return frame.replace(end, b"".join(first) + goes_on + end)


def control(path):
    asked = urlsplit(path)
    query = {key: values[0] for key, values in parse_qs(asked.query).items()}
    if asked.path == "/-/pace":
        PACE["bytes"] = int(query.get("bytes", 0))
    if asked.path == "/-/faults":
        FAULTS["rate"] = float(query.get("rate", 0))
        FAULTS["kinds"] = [kind for kind in query.get("kinds", "").split(",") if kind]
        FAULTS["random"] = random.Random(int(query.get("seed", 0)))
    told = {"requests": dict(COUNTS), "faults": dict(INJECTED), "reads_at_once": READS["most"], "read_bytes": READS["bytes"]}
    READS["most"], READS["bytes"] = READS["now"], 0
    COUNTS.clear()
    INJECTED.clear()
    body = json.dumps(told, sort_keys=True).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class Connection:
    """One client, and the connections to the services that its requests go over."""

    def __init__(self, targets, reader, writer):
        self.targets = targets
        self.reader, self.writer = reader, writer
        self.upstreams = {}

    async def serve(self):
        while (head := await read_head(self.reader)) is not None:
            raw, line, headers = head
            method, path, _ = line.split(" ", 2)
            if path.startswith("/-/"):
                self.writer.write(control(path))
                await self.writer.drain()
                continue
            kind = kind_of(method, path, headers)
            COUNTS[kind] += 1
            token = parse_qs(urlsplit(path).query).get("continuation-token", [""])[0]
            if token in HELD:
                self.writer.write(xml("200 OK", HELD[token]))
                await self.writer.drain()
                continue
            if not await self.counted(kind, self.one(raw, method, headers, fault_for(kind))):
                return

    async def counted(self, kind, work):
        """The same work; while it goes on it counts, if it reads an object."""
        reads = kind == "GetObject"
        READS["now"] += reads
        READS["most"] = max(READS["most"], READS["now"])
        try:
            return await work
        finally:
            READS["now"] -= reads

    async def one(self, raw, method, headers, fault):
        """Whether the connection can go on."""
        if fault in ("refused", "failed", "silent"):
            await self.hundred(headers)
            await pass_on(self.reader, Nowhere(), headers)
            if fault == "silent":
                await asyncio.sleep(30)
                return False
            refusal = ("503 Slow Down", "SlowDown") if fault == "refused" else ("500 Internal Server Error", "InternalError")
            self.writer.write(answer(*refusal))
            await self.writer.drain()
            return True
        if fault == "late":
            body = Kept()
            await pass_on(self.reader, body, headers)
            asyncio.get_running_loop().create_task(late(next(self.targets), raw + bytes(body.content), method))
            return False
        if fault == "slow":
            await asyncio.sleep(2)
        return await self.forward(raw, method, headers, fault)

    async def hundred(self, headers):
        if headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self.writer.drain()

    async def forward(self, raw, method, headers, fault):
        target = next(self.targets)
        if target in self.upstreams and self.upstreams[target][0].at_eof():
            # The service closed what was idle.
            self.upstreams.pop(target)[1].close()
        if target not in self.upstreams:
            self.upstreams[target] = await asyncio.open_connection(*target, limit=BLOCK)
        reader, writer = self.upstreams[target]
        writer.write(raw)
        await self.hundred(headers)
        await pass_on(self.reader, writer, headers)
        await writer.drain()
        head = await read_head(reader)
        while head is not None and head[1].split(" ")[1] == "100":
            head = await read_head(reader)
        if head is None:
            return False
        raw, line, headers = head
        bodyless = method == "HEAD" or line.split(" ")[1] in ("204", "304")
        if fault == "lost":
            await pass_on(reader, Nowhere(), headers, bodyless=bodyless)
            return False
        length = int(headers.get("content-length", 0))
        if fault in ("short", "repeated") and length and " 200 " in line:
            page = Kept()
            await pass_on(reader, page, headers)
            half = cut_in_two(bytes(page.content), fault)
            raw = raw + page.content if half is None else xml("200 OK", half)
            bodyless = True
        elif fault == "cut" and not bodyless and length > 1:
            self.writer.write(raw)
            await pass_on(reader, self.writer, headers, limit=length // 2)
            return False
        elif fault == "crawling":
            for byte in raw[:10]:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(0.2)
            raw = raw[10:]
        self.writer.write(raw)
        body = Paced(self.writer) if method == "GET" else self.writer
        await pass_on(reader, body, headers, bodyless=bodyless)
        await self.writer.drain()
        if headers.get("connection", "").lower() == "close":
            self.upstreams.pop(target)[1].close()
        return True

    def close(self):
        for _, writer in self.upstreams.values():
            writer.close()
        # A reset, so that nobody takes it for an end.
        self.writer.transport.abort()


async def late(target, request, method):
    """Does what nobody waits for any more."""
    await asyncio.sleep(3)
    reader, writer = await asyncio.open_connection(*target)
    writer.write(request)
    await writer.drain()
    head = await read_head(reader)
    if head is not None:
        await pass_on(reader, Nowhere(), head[2], bodyless=method == "HEAD")
    writer.close()


async def main():
    addresses = (address.rsplit(":", 1) for address in sys.argv[1:])
    targets = itertools.cycle([(host, int(port)) for host, port in addresses])

    async def connected(reader, writer):
        connection = Connection(targets, reader, writer)
        try:
            await connection.serve()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            connection.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=BLOCK)
    listening = server.sockets[0].getsockname()
    print(f"127.0.0.1:{listening[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

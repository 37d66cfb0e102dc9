"""Holds many connections open, pulls beside them, and looks at what the server has of them.

connections.py SCHEME ADDRESS PID COUNT LIMIT_KIB     a connection may cost LIMIT_KIB of the server's memory
"""

import asyncio
import os
import ssl
import statistics
import sys
import time

ROUNDS = 6
PULLS = 50
# What the allocator keeps for the next connections is no leak; the last rounds must not add to it.
SLACK_KIB = 8 * 1024


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def context():
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    return trusting


class Target:
    def __init__(self, scheme, address):
        self.host, port = address.split(":")
        self.port = int(port)
        self.tls = context() if scheme == "https" else None

    async def connect(self):
        return await asyncio.open_connection(self.host, self.port, ssl=self.tls)

    async def request(self, reader, writer, path):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(length)
        return int(head.split(b" ")[1])


async def many(target, count):
    """Half of them have made a request and do nothing; the others are in the middle of one."""
    connections = []
    gate = asyncio.Semaphore(64)

    async def one(number):
        async with gate:
            reader, writer = await target.connect()
            if number % 2:
                assert await target.request(reader, writer, "/v2/") == 200
            else:
                writer.write(b"GET /v2/ HT")
            connections.append((number, reader, writer))

    await asyncio.gather(*(one(number) for number in range(count)))
    return connections


async def pulls(target):
    """The times of pulls, each on a connection of its own."""
    times = []
    for _ in range(PULLS):
        began = time.monotonic()
        reader, writer = await target.connect()
        assert await target.request(reader, writer, "/v2/") == 200
        writer.close()
        times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


async def main(scheme, address, pid, count, limit_kib):
    target = Target(scheme, address)
    quiet = await pulls(target)
    # The server learns a moment later that those connections have ended.
    await asyncio.sleep(1)
    base_kib, base_descriptors = resident_kib(pid), descriptors(pid)
    after = []
    for number in range(ROUNDS):
        connections = await many(target, count)
        for which, _, writer in connections:
            if which % 2 == 0:
                writer.write(b"T")
        deadline = time.monotonic() + 20
        # A client is connected before the server has taken the connection in.
        while descriptors(pid) - base_descriptors < count and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        held_kib, held_descriptors = resident_kib(pid), descriptors(pid)
        beside = await pulls(target)
        each = (held_kib - base_kib) / count
        print(f"round {number + 1}: {count} connections, {each:.1f} KiB each; a request {beside:.1f} ms, before {quiet:.1f} ms")
        assert held_descriptors - base_descriptors >= count, (held_descriptors, base_descriptors)
        # Later rounds begin above the memory of the first, which the allocator keeps.
        assert number > 0 or each < limit_kib, each
        assert beside < max(10 * quiet, 50), (beside, quiet)
        for _, _, writer in connections:
            writer.transport.abort()
        deadline = time.monotonic() + 20
        while descriptors(pid) > base_descriptors + 2:
            assert time.monotonic() < deadline, descriptors(pid)
            await asyncio.sleep(0.2)
        after.append(resident_kib(pid))
    print(f"resident: {base_kib} KiB before, {after} KiB after each round")
    assert after[-1] - after[-3] < SLACK_KIB, after


if __name__ == "__main__":
    _, scheme, address, pid, count, limit = sys.argv
    asyncio.run(main(scheme, address, int(pid), int(count), int(limit)))

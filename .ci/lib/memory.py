"""Sends one big layer up in each way the protocol knows and takes it down again, and watches the server's memory.

memory.py ADDRESS PID GIB LIMIT_MIB     the server's resident memory may grow by less than LIMIT_MIB
"""

import hashlib
import os
import pathlib
import sys
import threading
import time

import oci

PIECE = 1 << 20
CHUNK = 256 << 20
REPOSITORY = "big/layer"
# Random enough that nothing can be folded together, and cheap to make without end: a different window each time.
SOURCE = os.urandom(2 * PIECE)


def pieces(first, length, salt):
    """The bytes [first, first + length) of the layer, in pieces. Both are multiples of PIECE."""
    for number in range(first // PIECE, (first + length) // PIECE):
        shift = (number * 4099 + salt * 257) % PIECE
        yield number.to_bytes(8, "big") + SOURCE[shift + 8 : shift + PIECE]


def layer_digest(size, salt):
    hasher = hashlib.sha256()
    for piece in pieces(0, size, salt):
        hasher.update(piece)
    return "sha256:" + hasher.hexdigest()


class Watch(threading.Thread):
    """Reads the resident memory of a process ten times a second and keeps the highest value."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status = pathlib.Path(f"/proc/{pid}/status")
        self.peak = 0
        self.done = threading.Event()

    def resident(self):
        """Resident KiB now."""
        line = next(line for line in self.status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1])

    def run(self):
        while not self.done.wait(0.1):
            self.peak = max(self.peak, self.resident())


def stream(registry, size, digest, salt):
    """POST, one PATCH without a length, PUT."""
    location = registry.start_upload(REPOSITORY)
    headers = {"Content-Type": "application/octet-stream"}
    _, answered, _ = registry.ask("PATCH", location, pieces(0, size, salt), headers, (202,))
    registry.ask("PUT", oci.with_digest(oci.local(answered["Location"]), digest), b"", expect=(201,))


def chunks(registry, size, digest, salt):
    """POST, a PATCH for each chunk, PUT."""
    location = registry.start_upload(REPOSITORY)
    for first in range(0, size, CHUNK):
        length = min(CHUNK, size - first)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(length),
            "Content-Range": f"{first}-{first + length - 1}",
        }
        _, answered, _ = registry.ask("PATCH", location, pieces(first, length, salt), headers, (202,))
        location = oci.local(answered["Location"])
    registry.ask("PUT", oci.with_digest(location, digest), b"", expect=(201,))


def whole(registry, size, digest, salt):
    """POST, then everything in one PUT."""
    location = registry.start_upload(REPOSITORY)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    registry.ask("PUT", oci.with_digest(location, digest), pieces(0, size, salt), headers, (201,))


def down(registry, size, digest):
    if registry.blob_matches(REPOSITORY, digest) != size:
        raise oci.Refused("the layer came back with another length")


def ranged(registry, size, digest):
    """The last mebibyte alone."""
    headers = {"Range": f"bytes={size - PIECE}-"}
    _, _, data = registry.ask("GET", f"/v2/{REPOSITORY}/blobs/{digest}", headers=headers, expect=(206,))
    if len(data) != PIECE:
        raise oci.Refused(f"a range of {PIECE} bytes came back with {len(data)}")


def warm_up(registry):
    """A server has its threads, connections and buffers only after it has worked: that is not growth."""
    for _ in range(8):
        data = os.urandom(4 * PIECE)
        registry.blob_matches("big/warm", registry.push_blob("big/warm", data))


def main():
    address, pid, gib, limit = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    size = int(gib * 1024) * PIECE
    registry = oci.Registry(address, timeout=600)
    watch = Watch(pid)
    warm_up(registry)
    before = watch.resident()
    watch.start()
    for salt, send in enumerate((stream, chunks, whole)):
        digest = layer_digest(size, salt)
        begun = time.monotonic()
        send(registry, size, digest, salt)
        sent = time.monotonic()
        down(registry, size, digest)
        ranged(registry, size, digest)
        received = time.monotonic()
        print(
            f"{gib} GiB {send.__name__}: up {size / (sent - begun) / 1e6:.0f} MB/s,"
            f" down {size / (received - sent) / 1e6:.0f} MB/s, resident at most {watch.peak / 1024:.1f} MiB"
        )
        registry.ask("DELETE", f"/v2/{REPOSITORY}/blobs/{digest}", expect=(202,))
    watch.done.set()
    grown = (watch.peak - before) / 1024
    print(f"resident memory: {before / 1024:.1f} MiB before, grew by {grown:.1f} MiB, limit {limit} MiB")
    return 0 if grown < limit else 1


if __name__ == "__main__":
    sys.exit(main())

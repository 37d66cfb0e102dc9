"""Kills a registry in the middle of a chunk, and takes the upload up where the registry says it stands.

resume.py ADDRESS COMMAND...     COMMAND starts the registry on ADDRESS
"""

import hashlib
import http.client
import os
import signal
import sys
import time

import kill
import oci

CHUNK = 4 << 20
REPOSITORY = "resume/app"


def half_a_chunk(address, location, first, data):
    """Sends the headers of a chunk and half of its bytes, and leaves the rest unsent."""
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.putrequest("PATCH", location)
    connection.putheader("Content-Type", "application/octet-stream")
    connection.putheader("Content-Length", str(len(data)))
    connection.putheader("Content-Range", f"{first}-{first + len(data) - 1}")
    connection.endheaders()
    connection.send(data[: len(data) // 2])
    return connection


def patch(registry, location, first, data):
    headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{first}-{first + len(data) - 1}"}
    _, answered, _ = registry.ask("PATCH", location, data, headers, (202,))
    return oci.local(answered["Location"]), answered["Range"]


def offset(registry, location):
    """(where to go on, offset of the next byte) as the registry reports them."""
    _, headers, _ = registry.ask("GET", location, expect=(204,))
    begin, _, last = headers["Range"].partition("-")
    if begin != "0":
        raise oci.Refused(f"Range: {headers['Range']}")
    return oci.local(headers["Location"]), int(last) + 1


def main():
    address, command = sys.argv[1], sys.argv[2:]
    data = os.urandom(6 * CHUNK)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    server = kill.Server(address, command)
    server.start()
    try:
        registry = oci.Registry(address)
        location = registry.start_upload(REPOSITORY)
        location, reported = patch(registry, location, 0, data[:CHUNK])
        print(f"first chunk acknowledged, Range: {reported}")
        connection = half_a_chunk(address, location, CHUNK, data[CHUNK : 5 * CHUNK])
        # Long enough for the server to be in the middle of it, whatever it does with the bytes.
        time.sleep(0.5)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        connection.close()
        registry.close()
        server.start()
        location, position = offset(registry, location)
        print(f"killed in the second chunk; the registry stands at byte {position}")
        if not CHUNK <= position <= 3 * CHUNK:
            raise oci.Refused(f"offset {position}: the first chunk was acknowledged, at most 3 chunks were sent")
        location, reported = patch(registry, location, position, data[position : 5 * CHUNK])
        print(f"went on from there, Range: {reported}")
        last = {"Content-Type": "application/octet-stream", "Content-Range": f"{5 * CHUNK}-{len(data) - 1}"}
        registry.ask("PUT", oci.with_digest(location, digest), data[5 * CHUNK :], last, (201,))
        length = registry.blob_matches(REPOSITORY, digest)
        print(f"the whole blob, {length} bytes, came back with its digest")
        status, _, _ = registry.ask("GET", location)
        if status != 404:
            raise oci.Refused(f"the finished upload still answers {status}")
    finally:
        server.process.terminate()
        server.process.wait()


if __name__ == "__main__":
    main()

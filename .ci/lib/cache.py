"""What a disk before a bucket is good for: how often content leaves the bucket, and that what is served is right.

cache.py cold|warm|tear|torn PROXY ADDRESS FOLDER

ADDRESS is a registry that keeps blobs in FOLDER and reaches its bucket through PROXY (proxy.py), which counts what is asked.

cold    pushes a blob, and reads it by many clients at once: its content leaves the bucket once
warm    after a restart: the same clients, and nothing of it leaves the bucket
tear    damages what is kept, while no server runs
torn    after that: the same clients, and the content leaves the bucket once
"""

import concurrent.futures
import glob
import random
import sys

import bucket_bench
import oci

CLIENTS = 24
REPOSITORY = "cached/app"
CONTENT = random.Random(7).randbytes(40 << 20)


def content_bytes(proxy, action):
    """How many bytes of objects left the bucket while this went on."""
    bucket_bench.told(proxy)
    action()
    return bucket_bench.told(proxy)["read_bytes"]


def read_all(address):
    digest = oci.digest_of(CONTENT)

    def read(_):
        registry = oci.Registry(address)
        registry.blob_matches(REPOSITORY, digest) or sys.exit("other bytes than were pushed")
        _, headers, part = registry.ask(
            "GET", f"/v2/{REPOSITORY}/blobs/{digest}", headers={"Range": "bytes=1000-1999"}, expect=(206,)
        )
        registry.close()
        if part != CONTENT[1000:2000]:
            sys.exit(f"another range than was asked for: {headers}")

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(read, range(CLIENTS)))


def main():
    mode, proxy, address, folder = sys.argv[1:]
    if mode == "tear":
        (kept,) = glob.glob(f"{folder}/sha256/*")
        with open(kept, "r+b") as file:
            file.seek(12345)
            file.write(b"torn")
        return
    if mode == "cold":
        registry = oci.Registry(address)
        registry.push_blob(REPOSITORY, CONTENT)
        registry.close()
    left = content_bytes(proxy, lambda: read_all(address))
    print(f"{CLIENTS} clients read {len(CONTENT)} bytes each: {left} left the bucket")
    # Links leave it each time.
    links = 200 * 2 * CLIENTS
    once = len(CONTENT)
    if not (left <= links if mode == "warm" else once <= left <= once + links):
        sys.exit(f"{mode}: that is not what it should be")


if __name__ == "__main__":
    main()

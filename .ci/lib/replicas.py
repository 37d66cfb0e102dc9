"""Kills one of two registries on one bucket again and again while clients push to both, and holds them to every answer.

replicas.py KILLS WORKERS PROGRAM ADDRESS CONFIG ADDRESS CONFIG

A client sends each request of a push to the registry that did not get the one before. When that one is gone it goes on with the
other: it asks there how far its upload is, and takes it up where it stands. A push counts as acknowledged when the PUT of its
manifest was answered 201. After each kill everything acknowledged is there, on either registry; what was cut off is there in
full or not at all.
"""

import os
import random
import sys
import threading
import time

import kill
import oci

CHUNK = 96 << 10


class Gone(Exception):
    """The upload is not known any more, or was taken elsewhere: it begins anew."""


class Client:
    """Pushes to several registries in turn, and survives the loss of any but the last."""

    def __init__(self, addresses, start):
        self.registries = [oci.Registry(address, timeout=60) for address in addresses]
        self.next = start
        self.resumed = 0

    def close(self):
        for registry in self.registries:
            registry.close()

    def turn(self):
        self.next += 1
        return self.registries[self.next % len(self.registries)]

    def ask(self, method, path, body=None, headers=None, expect=None):
        """Asks the next one; if that is gone, the one behind it. Only for what may be asked twice."""
        for _ in range(400):
            registry = self.turn()
            try:
                return registry.ask(method, path, body, headers, expect)
            except kill.CUT:
                registry.close()
                time.sleep(0.02)
        raise oci.Refused(f"{method} {path}: nobody answers")

    def push_blob(self, repository, data):
        for _ in range(20):
            try:
                return self.upload(repository, data)
            except Gone:
                continue
        raise oci.Refused(f"a blob of {repository} does not get through")

    def upload(self, repository, data):
        _, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/", b"", expect=(202,))
        location, offset = oci.local(headers["Location"]), 0
        while offset < len(data):
            location, offset = self.chunk(location, offset, data[offset : offset + CHUNK])
        digest = oci.digest_of(data)
        registry = self.turn()
        try:
            status, _, body = registry.ask("PUT", oci.with_digest(location, digest), b"")
        except kill.CUT:
            # Nobody knows whether it was done.
            registry.close()
            status, _, _ = self.ask("HEAD", f"/v2/{repository}/blobs/{digest}")
            if status == 200:
                return digest
            raise Gone from None
        if status == 404:
            raise Gone
        if status != 201:
            raise oci.Refused(f"PUT {location}: {status} {body[:200]!r}")
        return digest

    def chunk(self, location, offset, data):
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{offset}-{offset + len(data) - 1}",
        }
        registry = self.turn()
        try:
            status, answered, body = registry.ask("PATCH", location, data, headers)
            if status == 202:
                return oci.local(answered["Location"]), offset + len(data)
            if status not in (404, 416):
                raise oci.Refused(f"PATCH {location} at {offset}: {status} {body[:200]!r}")
        except kill.CUT:
            registry.close()
            self.resumed += offset > 0
        status, answered, body = self.ask("GET", location)
        # Who was just asked goes on with it: the other may be gone.
        self.next += 1
        if status == 404:
            raise Gone
        if status != 204:
            raise oci.Refused(f"GET {location}: {status} {body[:200]!r}")
        first, _, last = answered["Range"].partition("-")
        # The specification cannot tell 0 bytes from 1.
        stands = 0 if answered["Range"] in ("0-0", "0--1") else int(last) + 1
        if first != "0" or not offset <= stands <= offset + len(data):
            raise oci.Refused(f"{location} stands at {answered['Range']}, acknowledged were {offset} bytes")
        return oci.local(answered["Location"]), stands

    def push_manifest(self, repository, reference, data):
        self.ask("PUT", f"/v2/{repository}/manifests/{reference}", data, {"Content-Type": oci.OCI_MANIFEST}, (201,))


def push_until(stop, addresses, worker, seed, ledger, failures, counts):
    random_source = random.Random(seed)
    client = Client(addresses, worker)
    repository, number = f"replicas/worker{worker}", 0
    while not stop.is_set():
        sizes = random_source.randint(1, 4 * CHUNK), random_source.randint(1, CHUNK // 2)
        layers, config, manifest = kill.image(random_source, [random_source.randbytes(size) for size in sizes])
        tag, number = f"{seed}-{number}", number + 1
        digest = oci.digest_of(manifest)
        ledger.begin(repository, tag, digest)
        try:
            for blob in [*layers, config]:
                client.push_blob(repository, blob)
            client.push_manifest(repository, tag, manifest)
            ledger.acknowledge(repository, tag, digest)
            ledger.try_move(repository, digest)
            client.push_manifest(repository, "latest", manifest)
            ledger.moved(repository, digest)
        except oci.Refused as refusal:
            failures.append(f"refused while serving: {refusal}")
    counts.append(client.resumed)
    client.close()


def main():
    kills, workers, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    pairs = list(zip(sys.argv[4::2], sys.argv[5::2]))
    seed = os.environ.get("SEED") or f"{random.randrange(1 << 32):x}"
    print(f"seed {seed} (SEED={seed} repeats the contents and the moments, not the scheduling)")
    servers = [kill.Server(address, [program, "serve", config]) for address, config in pairs]
    for server in servers:
        server.start()
    addresses = [address for address, _ in pairs]
    ledger, problems, counts = kill.Ledger(), [], []
    chance = random.Random(seed)
    try:
        for number in range(kills):
            begun, acknowledged = len(ledger.begun), set(ledger.acknowledged)
            stop, failures = threading.Event(), []
            threads = [
                threading.Thread(
                    target=push_until, args=(stop, addresses, worker, f"{number}-{worker}-{seed}", ledger, failures, counts)
                )
                for worker in range(workers)
            ]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.3, 2.0))
            victim = chance.choice(servers)
            victim.kill()
            # The other carries on alone for a while.
            time.sleep(chance.uniform(0.2, 1.0))
            seconds = victim.start()
            stop.set()
            for thread in threads:
                thread.join()
            fresh = {key: value for key, value in ledger.acknowledged.items() if key not in acknowledged}
            found = failures + kill.verify(chance.choice(addresses), ledger, ledger.begun[begun:], fresh)
            problems += found
            print(f"kill {number + 1}: {len(fresh)} acknowledged, ready again after {seconds:.2f} s, {len(found)} problems", flush=True)
        # What survived the first kill must also survive the last.
        for address in addresses:
            problems += kill.verify(address, ledger, ledger.begun, ledger.acknowledged)
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait()
    print("\n".join(problems[:30]))
    total, resumed = len(ledger.acknowledged), sum(counts)
    print(f"{kills} kills, {len(ledger.begun)} pushes begun, {total} acknowledged, {resumed} uploads taken up elsewhere, {len(problems)} problems")
    # Few kills may all hit between two chunks.
    return 0 if total and (resumed or kills < 8) and not problems else 1


if __name__ == "__main__":
    sys.exit(main())

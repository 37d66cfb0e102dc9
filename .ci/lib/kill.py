"""Kills a registry again and again while clients push, and holds it to every answer it gave.

kill.py KILLS WORKERS ADDRESS COMMAND...     COMMAND starts the registry on ADDRESS; it is killed with SIGKILL

A push counts as acknowledged when the PUT of its manifest was answered 201. After each kill and restart, what was
acknowledged must be there in full; what was not acknowledged may be there or not, but never in part.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import oci

READY_SECONDS = 30
# What a client sees when the server dies under it.
CUT = (OSError, oci.http.client.HTTPException)


class Server:
    """The registry process, started and killed by its own process id."""

    def __init__(self, address, command):
        self.address = address
        self.command = command
        self.process = None

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        while time.monotonic() - begun < READY_SECONDS:
            if self.process.poll() is not None:
                raise SystemExit(f"the registry ended with {self.process.returncode} while it started")
            try:
                registry = oci.Registry(self.address, timeout=5)
                registry.ask("GET", "/v2/", expect=(200,))
                registry.close()
                return time.monotonic() - begun
            except CUT:
                time.sleep(0.02)
        raise SystemExit("the registry did not start in time")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Ledger:
    """What was begun, and what was acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.begun = []
        self.acknowledged = {}
        # For each tag that moves: the digest that was last acknowledged, and those tried after it.
        self.moving = {}

    def begin(self, repository, tag, digest):
        with self.lock:
            self.begun.append((repository, tag, digest))
            self.moving.setdefault(repository, [None])

    def try_move(self, repository, digest):
        with self.lock:
            self.moving[repository].append(digest)

    def acknowledge(self, repository, tag, digest):
        with self.lock:
            self.acknowledged[(repository, tag)] = digest

    def moved(self, repository, digest):
        with self.lock:
            self.moving[repository] = [digest]


def image(random_source, layers=None):
    """(layers, config, manifest) of a small image of random content, unless its layers are given."""
    layers = layers or [random_source.randbytes(random_source.randint(1, 64 << 10)) for _ in range(2)]
    diff_ids = [oci.digest_of(layer) for layer in layers]
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    descriptors = [
        {"mediaType": oci.OCI_LAYER, "digest": digest, "size": len(layer)} for digest, layer in zip(diff_ids, layers)
    ]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": oci.OCI_MANIFEST,
            "config": {"mediaType": oci.OCI_CONFIG, "digest": oci.digest_of(config), "size": len(config)},
            "layers": descriptors,
        }
    ).encode()
    return layers, config, manifest


def push_until(stop, address, worker, seed, ledger, failures):
    """Pushes one image after another, each under a tag of its own, then moves the tag `latest` onto it."""
    random_source = random.Random(seed)
    registry = oci.Registry(address, timeout=20)
    repository = f"kill/worker{worker}"
    number = 0
    while not stop.is_set():
        layers, config, manifest = image(random_source)
        tag, number = f"{seed}-{number}", number + 1
        digest = oci.digest_of(manifest)
        ledger.begin(repository, tag, digest)
        try:
            for blob in [*layers, config]:
                registry.push_blob(repository, blob)
            registry.push_manifest(repository, tag, manifest, oci.OCI_MANIFEST)
            ledger.acknowledge(repository, tag, digest)
            ledger.try_move(repository, digest)
            registry.push_manifest(repository, "latest", manifest, oci.OCI_MANIFEST)
            ledger.moved(repository, digest)
        except CUT:
            registry.close()
            # The server is gone; the main thread ends this round.
            stop.wait(0.05)
        except oci.Refused as refusal:
            failures.append(f"refused while serving: {refusal}")
            registry.close()
            stop.wait(0.05)
    registry.close()


def whole_or_absent(registry, repository, tag, digest):
    """A push that was cut off: all of it is there, or its tag and its manifest are not."""
    for reference in (tag, digest):
        status, _, _ = registry.ask("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": oci.MANIFESTS})
        if status == 200:
            if digest not in registry.pull(repository, reference):
                raise oci.Refused(f"{repository}:{reference} is another image than was pushed")
        elif status != 404:
            raise oci.Refused(f"{repository}:{reference}: status {status}")


def verify(address, ledger, begun, acknowledged):
    """Problems with the given pushes."""
    registry = oci.Registry(address)
    problems = []
    for (repository, tag), digest in acknowledged.items():
        try:
            if digest not in registry.pull(repository, tag):
                problems.append(f"{repository}:{tag} is not {digest}")
        except (oci.Refused, *CUT) as error:
            problems.append(f"acknowledged {repository}:{tag} ({digest}): {error}")
    for repository, tag, digest in begun:
        if (repository, tag) not in acknowledged:
            try:
                whole_or_absent(registry, repository, tag, digest)
            except (oci.Refused, *CUT) as error:
                problems.append(f"cut off {repository}:{tag} ({digest}): {error}")
    for repository, digests in ledger.moving.items():
        status, headers, data = registry.ask(
            "GET", f"/v2/{repository}/manifests/latest", headers={"Accept": oci.MANIFESTS}
        )
        found = oci.digest_of(data) if status == 200 else None
        if found not in digests:
            problems.append(f"{repository}:latest is {found} (status {status}), expected one of {digests}")
        # What was found is now what counts.
        ledger.moving[repository] = [found]
    registry.close()
    return problems


def round_of_pushes(server, workers, number, ledger, seed):
    """Lets the clients push, kills the server at a random moment, and starts it again."""
    stop, failures = threading.Event(), []
    threads = [
        threading.Thread(
            target=push_until, args=(stop, server.address, worker, f"{number}-{worker}-{seed}", ledger, failures)
        )
        for worker in range(workers)
    ]
    for thread in threads:
        thread.start()
    time.sleep(random.Random(f"{seed}{number}").uniform(0.1, 1.2))
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    return failures, server.start()


def main():
    kills, workers, address, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    seed = os.environ.get("SEED") or f"{random.randrange(1 << 32):x}"
    print(f"seed {seed} (SEED={seed} repeats the contents and the moments, not the scheduling)")
    server, ledger, problems = Server(address, command), Ledger(), []
    server.start()
    try:
        for number in range(kills):
            begun, acknowledged = len(ledger.begun), set(ledger.acknowledged)
            failures, seconds = round_of_pushes(server, workers, number, ledger, seed)
            fresh = {key: value for key, value in ledger.acknowledged.items() if key not in acknowledged}
            found = failures + verify(address, ledger, ledger.begun[begun:], fresh)
            problems += found
            print(f"kill {number + 1}: {len(fresh)} acknowledged, ready again after {seconds:.2f} s, {len(found)} problems")
        # What survived the first kill must also survive the last.
        problems += verify(address, ledger, ledger.begun, ledger.acknowledged)
    finally:
        server.process.terminate()
        server.process.wait()
    print("\n".join(problems[:30]))
    total = len(ledger.acknowledged)
    print(f"{kills} kills, {len(ledger.begun)} pushes begun, {total} acknowledged, {len(problems)} problems")
    return 0 if total and not problems else 1


if __name__ == "__main__":
    sys.exit(main())

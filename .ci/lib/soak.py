"""Clients at work while a collector takes away what nobody needs, and the end of it: nothing lost, nothing left.

soak.py MINUTES WORKERS ADDRESS FOLDER COMMAND...     COMMAND starts the registry on ADDRESS, which stores in FOLDER

Each worker has repositories of its own, so it knows what must be there; the layers come from a small pool that all share,
so that what one of them drops another may just be building on. As clients do, a worker asks for a layer before it pushes
it, and relies on the answer.
"""

import json
import os
import random
import sys
import threading
import time

import oci
from kill import CUT, Server

LAYERS = 40
DEADLINE_SECONDS = 200


class Worker(threading.Thread):
    """One client, and what it was told."""

    def __init__(self, number, seed, address, until):
        super().__init__()
        self.random = random.Random(f"{seed}-{number}")
        self.number = number
        self.registry = oci.Registry(address, timeout=30)
        self.until = until
        self.repositories = [f"soak/{number}", f"soak/{number}/nested"]
        self.tags = {}
        self.children = {}
        self.problems = []
        self.counts = {}

    def run(self):
        steps = [self.image, self.image, self.image, self.index, self.pull, self.pull, self.untag, self.delete]
        while time.monotonic() < self.until:
            step = self.random.choice(steps)
            try:
                step()
                self.counts[step.__name__] = self.counts.get(step.__name__, 0) + 1
            except (oci.Refused, *CUT) as error:
                self.problems.append(f"worker {self.number}, {step.__name__}: {error}")
                self.registry.close()
        self.registry.close()

    def layer(self, repository):
        """A layer of the pool, or a new one; pushed, found or mounted as clients do it."""
        if self.random.random() < 0.7:
            data = b"layer %d " % self.random.randrange(LAYERS) * 500
        else:
            data = self.random.randbytes(self.random.randint(1, 20_000))
        return self.blob(repository, data, oci.OCI_LAYER)

    def blob(self, repository, data, media_type):
        digest = oci.digest_of(data)
        status, _, _ = self.registry.ask("HEAD", f"/v2/{repository}/blobs/{digest}", expect=(200, 404))
        if status == 404:
            mount = f"/v2/{repository}/blobs/uploads/?mount={digest}&from=soak/{self.random.randrange(4)}"
            status, headers, _ = self.registry.ask("POST", mount, b"", expect=(201, 202))
            if status == 202:
                location = oci.local(headers["Location"])
                self.registry.ask("PUT", oci.with_digest(location, digest), data, expect=(201,))
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def manifest(self, repository):
        layers = [self.layer(repository) for _ in range(self.random.randint(1, 3))]
        config = json.dumps({"architecture": "amd64", "os": "linux", "n": self.random.randrange(50)}).encode()
        config = self.blob(repository, config, oci.OCI_CONFIG)
        document = {"schemaVersion": 2, "mediaType": oci.OCI_MANIFEST, "config": config, "layers": layers}
        return json.dumps(document).encode()

    def put(self, repository, tag, data, media_type):
        digest = self.registry.push_manifest(repository, tag, data, media_type)
        self.tags[(repository, tag)] = digest

    def image(self):
        repository = self.random.choice(self.repositories)
        self.put(repository, f"t{self.random.randrange(4)}", self.manifest(repository), oci.OCI_MANIFEST)

    def index(self):
        """An index over children that were pushed by digest, and perhaps over one that lost its tag long ago."""
        repository, children = self.random.choice(self.repositories), []
        for _ in range(2):
            data = self.manifest(repository)
            digest = self.registry.push_manifest(repository, oci.digest_of(data), data, oci.OCI_MANIFEST)
            children.append({"mediaType": oci.OCI_MANIFEST, "digest": digest, "size": len(data)})
        document = {"schemaVersion": 2, "mediaType": oci.OCI_INDEX, "manifests": children}
        data = json.dumps(document).encode()
        self.children[(repository, oci.digest_of(data))] = {child["digest"] for child in children}
        self.put(repository, f"i{self.random.randrange(2)}", data, oci.OCI_INDEX)

    def is_named(self, repository, digest):
        """Whether an index that still has a tag names the manifest: its delete would break the index, as it was told to."""
        tagged = {index for (name, _), index in self.tags.items() if name == repository}
        return any(digest in self.children.get((repository, index), ()) for index in tagged)

    def some_tag(self):
        return self.random.choice(sorted(self.tags)) if self.tags else None

    def pull(self):
        if found := self.some_tag():
            repository, tag = found
            if self.tags[found] not in self.registry.pull(repository, tag):
                raise oci.Refused(f"{repository}:{tag} is not {self.tags[found]}")

    def untag(self):
        if found := self.some_tag():
            repository, tag = found
            self.registry.ask("DELETE", f"/v2/{repository}/manifests/{tag}", expect=(202,))
            del self.tags[found]
            self.registry.ask("GET", f"/v2/{repository}/manifests/{tag}", expect=(404,))

    def delete(self):
        if found := self.some_tag():
            repository, digest = found[0], self.tags[found]
            if self.is_named(repository, digest):
                return
            self.registry.ask("DELETE", f"/v2/{repository}/manifests/{digest}", expect=(202,))
            self.tags = {k: v for k, v in self.tags.items() if not (k[0] == repository and v == digest)}
            self.registry.ask("GET", f"/v2/{repository}/manifests/{digest}", expect=(404,))

    def settle(self):
        """Everything that was acknowledged and not deleted is there in full, and no tag that was deleted."""
        for (repository, tag), digest in sorted(self.tags.items()):
            try:
                if digest not in self.registry.pull(repository, tag):
                    self.problems.append(f"{repository}:{tag} is not {digest}")
            except (oci.Refused, *CUT) as error:
                self.problems.append(f"at the end {repository}:{tag}: {error}")
        for repository in self.repositories:
            expected = sorted(tag for name, tag in self.tags if name == repository)
            if (found := self.registry.tags(repository)) != expected:
                self.problems.append(f"{repository} has the tags {found}, not {expected}")

    def clear(self):
        for repository, tag in sorted(self.tags):
            self.registry.ask("DELETE", f"/v2/{repository}/manifests/{tag}", expect=(202,))


def files(folder):
    """All files but locks and the like, below the part of the volume that holds content and links."""
    root = os.path.join(folder, "docker/registry/v2")
    found = [os.path.join(base, name) for base, _, names in os.walk(root) for name in names]
    # Since when pulls are noted is told of the whole volume.
    kept = ("/_serving.lock", "/_gc/lock", "/_pulled/since", "/_pulled/until")
    paths = [path for path in found if not path.endswith(kept) and "/_gc/reserve/" not in path]
    return [os.path.relpath(path, root) for path in paths]


def wait_until_empty(folder):
    begun, left = time.monotonic(), []
    while time.monotonic() - begun < DEADLINE_SECONDS:
        # The record of a run that is at work comes and goes.
        left = [path for path in files(folder) if not path.startswith(("_gc/runs/", "_tmp/"))]
        if not left:
            return time.monotonic() - begun, []
        time.sleep(0.5)
    return DEADLINE_SECONDS, left


def main():
    minutes, workers, address, folder, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]
    seed = os.environ.get("SEED") or f"{random.randrange(1 << 32):x}"
    print(f"seed {seed}")
    server = Server(address, command)
    server.start()
    try:
        until = time.monotonic() + minutes * 60
        clients = [Worker(number, seed, address, until) for number in range(workers)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        for client in clients:
            client.settle()
        # And still there when everything that is not needed has gone.
        time.sleep(20)
        for client in clients:
            client.settle()
        kept = sum(len(client.tags) for client in clients)
        for client in clients:
            client.clear()
        seconds, left = wait_until_empty(folder)
    finally:
        server.process.terminate()
        server.process.wait()
    problems = [problem for client in clients for problem in client.problems]
    problems += [f"left on the disk: {path}" for path in left]
    print("\n".join(problems[:30]))
    counts = {}
    for client in clients:
        for name, count in client.counts.items():
            counts[name] = counts.get(name, 0) + count
    print(f"{counts}, {kept} tags at the end, all garbage gone after {seconds:.1f} s, {len(problems)} problems")
    return 0 if kept and counts.get("image") and not problems else 1


if __name__ == "__main__":
    sys.exit(main())

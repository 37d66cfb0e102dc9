"""Fills a registry with what is to stay and what is to go, and pushes on while it is collected.

collect.py seed ADDRESS FILE        pushes images, lets some of them go, and writes down which digests have to go
collect.py gone ROOT FILE           none of those lies in the volume any more
collect.py there ROOT FILE          all of those lie in the volume
collect.py work ADDRESS SECONDS     pushes, moves and deletes; each image that was acknowledged and kept is whole at the end
"""

import json
import pathlib
import random
import sys
import threading
import time

import oci

WORKERS = 4
LAYERS = 30


def descriptor(media_type, data):
    return {"mediaType": media_type, "digest": oci.digest_of(data), "size": len(data)}


def image(config, layers):
    manifest = {
        "schemaVersion": 2,
        "mediaType": oci.OCI_MANIFEST,
        "config": descriptor(oci.OCI_CONFIG, config),
        "layers": [descriptor(oci.OCI_LAYER, layer) for layer in layers],
    }
    return json.dumps(manifest).encode()


def index(children):
    manifests = [descriptor(oci.OCI_MANIFEST, child) for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": oci.OCI_INDEX, "manifests": manifests}).encode()


def push_missing(registry, repository, data):
    """As clients do it: a blob that is there is not pushed again, and one of another repository is mounted."""
    digest = oci.digest_of(data)
    status, _, _ = registry.ask("HEAD", f"/v2/{repository}/blobs/{digest}", expect=(200, 404))
    if status == 404:
        registry.push_blob(repository, data)
    return digest


def push_image(registry, repository, reference, config, layers):
    for data in [config, *layers]:
        push_missing(registry, repository, data)
    manifest = image(config, layers)
    reference = reference or oci.digest_of(manifest)
    registry.push_manifest(repository, reference, manifest, oci.OCI_MANIFEST)
    return manifest


def delete(registry, repository, manifest):
    registry.ask("DELETE", f"/v2/{repository}/manifests/{oci.digest_of(manifest)}", expect=(202,))


def layer(name, size):
    return random.Random(name).randbytes(size)


def seed(registry, file):
    """Everything that is named `doomed` has to go: `now` without a policy, `untagged` if manifests without a tag go."""
    shared = layer("shared", 300_000)
    doomed = {"now": [], "untagged": []}
    for number in range(3):
        push_image(registry, f"team/app{number}", "1", b'{"app":%d}' % number, [shared, layer(f"own{number}", 200_000)])
    children = [push_image(registry, "multi/arch", None, b'{"arch":%d}' % n, [shared, layer(f"arch{n}", 9_000)]) for n in (0, 1)]
    registry.push_manifest("multi/arch", "1", index(children), oci.OCI_INDEX)

    # An image that was deleted, and all that only it had.
    own = layer("deleted", 500_000)
    gone = push_image(registry, "team/app0", "2", b'{"deleted":1}', [shared, own])
    delete(registry, "team/app0", gone)
    doomed["now"] += [oci.digest_of(data) for data in (own, b'{"deleted":1}', gone)]
    # Blobs that no manifest ever named.
    for number in range(3):
        doomed["now"].append(registry.push_blob("team/app1", layer(f"lone{number}", 100_000)))
    # A whole repository.
    own = layer("repository", 50_000)
    gone = push_image(registry, "gone/away", "1", b'{"gone":1}', [shared, own])
    delete(registry, "gone/away", gone)
    doomed["now"] += [oci.digest_of(data) for data in (own, b'{"gone":1}', gone)]
    # A tag that moved, and an index that lost its tag: they stay until untagged manifests go.
    own = layer("moved", 70_000)
    old = push_image(registry, "team/app2", "latest", b'{"moved":1}', [shared, own])
    push_image(registry, "team/app2", "latest", b'{"moved":2}', [shared])
    doomed["untagged"] += [oci.digest_of(data) for data in (own, b'{"moved":1}', old)]
    own = layer("child", 40_000)
    child = push_image(registry, "multi/arch", None, b'{"child":1}', [own])
    top = index([child])
    registry.push_manifest("multi/arch", oci.digest_of(top), top, oci.OCI_INDEX)
    doomed["untagged"] += [oci.digest_of(data) for data in (own, b'{"child":1}', child, top)]
    file.write_text(json.dumps(doomed))
    print(f"{len(doomed['now'])} have to go, and {len(doomed['untagged'])} with the untagged")
    return 0


def lying(root, digest):
    """The files of the volume that hold this content, in its place or in quarantine."""
    algorithm, _, value = digest.partition(":")
    base = root / "docker/registry/v2"
    place = base / "blobs" / algorithm / value[:2] / value / "data"
    fossils = (base / "_gc/fossil" / algorithm / value).glob("*")
    return [path for path in [place, *fossils] if path.is_file()]


def looked(root, file, kinds, is_there):
    doomed = json.loads(file.read_text())
    digests = [digest for kind in kinds for digest in doomed[kind]]
    wrong = [digest for digest in digests if bool(lying(root, digest)) != is_there]
    print(f"{len(digests)} looked for, {len(wrong)} not as they should be", *wrong[:10], sep="\n")
    return 1 if wrong or not digests else 0


class Work:
    """Clients that push images of few layers, move tags and delete, as fast as they can."""

    def __init__(self, address, until):
        self.address = address
        self.until = until
        self.failures = []
        self.pushed = 0
        self.kept = []
        self.lock = threading.Lock()

    def fail(self, text):
        with self.lock:
            self.failures.append(text)

    def client(self, number):
        dice = random.Random(number)
        registry = oci.Registry(self.address)
        kept = {}
        round_number = 0
        while time.monotonic() < self.until:
            round_number += 1
            repository = f"work/{dice.randrange(3)}"
            tag = f"w{number}-{dice.randrange(4)}"
            layers = [layer(f"pool{dice.randrange(LAYERS)}", 20_000) for _ in range(dice.randrange(1, 4))]
            config = b'{"n":%d,"r":%d}' % (number, dice.randrange(20))
            try:
                manifest = push_image(registry, repository, tag, config, layers)
                kept[repository, tag] = manifest
                # What was just acknowledged is whole.
                self.whole(registry, repository, tag, manifest)
                if dice.random() < 0.3:
                    victim = dice.choice(list(kept))
                    registry.ask("DELETE", f"/v2/{victim[0]}/manifests/{victim[1]}", expect=(202,))
                    del kept[victim]
            except (oci.Refused, OSError) as error:
                self.fail(f"client {number}, round {round_number}: {error}")
        with self.lock:
            self.pushed += round_number
            self.kept += [(repository, tag, manifest) for (repository, tag), manifest in kept.items()]

    def whole(self, registry, repository, reference, expected):
        data, _ = registry.manifest(repository, reference)
        if data != expected:
            raise oci.Refused(f"{repository}:{reference} is another manifest")
        manifest = json.loads(data)
        for part in [manifest["config"], *manifest["layers"]]:
            registry.blob_matches(repository, part["digest"])

    def run(self):
        clients = [threading.Thread(target=self.client, args=(number,)) for number in range(WORKERS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        registry = oci.Registry(self.address)
        for repository, tag, manifest in self.kept:
            try:
                self.whole(registry, repository, tag, manifest)
            except (oci.Refused, OSError) as error:
                self.fail(f"at the end: {error}")
        print(*self.failures[:20], sep="\n")
        print(f"{self.pushed} pushes, {len(self.kept)} images kept, {len(self.failures)} failures")
        return 0 if self.pushed > 50 and self.kept and not self.failures else 1


def main():
    command, where, *rest = sys.argv[1:]
    if command == "seed":
        return seed(oci.Registry(where), pathlib.Path(rest[0]))
    if command in ("gone", "there"):
        return looked(pathlib.Path(where), pathlib.Path(rest[0]), rest[1:], command == "there")
    if command == "work":
        return Work(where, time.monotonic() + float(rest[0])).run()
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main())

"""What a registry over a bucket costs, beside another one over the same service.

bucket_bench.py counts PROXY ADDRESS       counts requests, and fails where there are more than MOST says

bucket_bench.py slow PROXY ADDRESS         how long manifests take where one read in 50 takes 2 seconds; fails where one in 100 does

bucket_bench.py PROXY BUCKET MIB NAME=ADDRESS=DIRECT=PID=FOLDER...

ADDRESS is a registry that reaches the bucket through PROXY (proxy.py), which counts what is asked; DIRECT one of the same program
that does not, with process PID, for times, processor seconds and memory. FOLDER is where both keep things. MIB is the size of
what is pushed and pulled for the latter.
"""

import concurrent.futures
import http.client
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time

import kill
import oci

LAYERS = 10
REPOSITORIES = 2000
TAGS = 2000
# Large repositories, and what each has.
LARGE, LARGE_TAGS, LARGE_LAYERS = 120, 100, 400
PAGE = 100
BLOB_MIB = 64
# After so many seconds nothing counts that a page before has seen.
FORGOTTEN = 2.1
ASKED = 500
# No more requests than that for each operation.
MOST = {
    "push of an image of ten layers": 166,
    "manifest by tag, the first time": 3,
    "manifest by tag, later": 2,
    "manifest by tag, HEAD": 2,
    "blob, HEAD": 2,
    "blob, GET through the registry": 3,
    "pull of the image": 35,
    "push of the same image to another tag": 32,
}


def told(proxy, what="counts"):
    """What was asked of the bucket since the last time; and something else is asked of the proxy, if that is said."""
    host, _, port = proxy.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", f"/-/{what}")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def requests(proxy):
    kinds = told(proxy)["requests"]
    return sum(kinds.values()), kinds


def image(chance):
    return kill.image(chance, [chance.randbytes(20000) for _ in range(LAYERS)])


def counted(proxy, address, chance):
    """(operation, requests to the bucket) as a client causes them that pushes and pulls an image of ten layers."""
    registry = oci.Registry(address)
    repository = f"bench/counted{chance.getrandbits(32)}"
    layers, config, manifest = image(chance)
    rows = []

    def row(text, action):
        requests(proxy)
        action()
        rows.append((text, requests(proxy)[0]))

    def push_blob(data):
        registry.ask("HEAD", f"/v2/{repository}/blobs/{oci.digest_of(data)}", expect=(404,))
        registry.push_blob(repository, data)

    def push():
        for data in [*layers, config]:
            push_blob(data)
        registry.ask("HEAD", f"/v2/{repository}/manifests/1", headers={"Accept": oci.MANIFESTS})
        registry.push_manifest(repository, "1", manifest, oci.OCI_MANIFEST)

    get = {"Accept": oci.MANIFESTS}
    row("push of an image of ten layers", push)
    row("manifest by tag, the first time", lambda: registry.ask("GET", f"/v2/{repository}/manifests/1", headers=get, expect=(200,)))
    row("manifest by tag, later", lambda: registry.ask("GET", f"/v2/{repository}/manifests/1", headers=get, expect=(200,)))
    row("manifest by tag, HEAD", lambda: registry.ask("HEAD", f"/v2/{repository}/manifests/1", headers=get, expect=(200,)))
    blob = f"/v2/{repository}/blobs/{oci.digest_of(layers[0])}"
    row("blob, HEAD", lambda: registry.ask("HEAD", blob, expect=(200,)))
    row("blob, GET through the registry", lambda: registry.ask("GET", blob, expect=(200,)))
    row("pull of the image", lambda: registry.pull(repository, "1"))
    row("push of the same image to another tag", lambda: registry.push_manifest(repository, "2", manifest, oci.OCI_MANIFEST))
    registry.close()
    return rows


def links(base, tags, layers):
    """What a repository consists of, as both programs keep it: each tag has a manifest of its own."""
    for number in range(layers):
        layer = oci.digest_of(f"{base}{number}".encode())
        yield f"{base}/_layers/sha256/{layer.partition(':')[2]}/link", layer
    for tag in tags:
        digest = oci.digest_of(f"{base}{tag}".encode())
        hexadecimal = digest.partition(":")[2]
        yield f"{base}/_manifests/revisions/sha256/{hexadecimal}/link", digest
        yield f"{base}/_manifests/tags/{tag}/current/link", digest
        yield f"{base}/_manifests/tags/{tag}/index/sha256/{hexadecimal}/link", digest


def repositories(folder):
    root = f"{folder}/docker/registry/v2/repositories"
    for number in range(LARGE):
        yield f"{root}/large/app-{number:03}", [f"v1.{tag}" for tag in range(LARGE_TAGS)], LARGE_LAYERS
    for number in range(REPOSITORIES):
        yield f"{root}/many/app-{number:04}", ["1"], 6
    yield f"{root}/tagged/app", [f"v1.{number:04}" for number in range(TAGS)], 6


def put(bucket, part):
    import boto3

    endpoint, user, password = bucket.split(",")
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=user, aws_secret_access_key=password, region_name="us-east-1"
    )
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        keys = (pair for base, tags, layers in part for pair in links(base, tags, layers))
        list(pool.map(lambda pair: client.put_object(Bucket="registry", Key=pair[0], Body=pair[1].encode()), keys))


def fill(bucket, folder):
    """Puts repositories and tags into the bucket, past both programs."""
    everything = list(repositories(folder))
    workers = 3
    with multiprocessing.Pool(workers) as pool:
        pool.starmap(put, [(bucket, everything[number::workers]) for number in range(workers)])


def timed(address, path, pause=FORGOTTEN):
    """The best of several, in milliseconds, each so long after the one before."""
    registry, best = oci.Registry(address), float("inf")
    for _ in range(4):
        time.sleep(pause)
        begun = time.monotonic()
        _, _, data = registry.ask("GET", path, expect=(200,))
        best = min(best, time.monotonic() - begun)
    found = json.loads(data)
    length = len(found.get("repositories") or found.get("tags") or [])
    if length != PAGE:
        raise SystemExit(f"{path}: {length} entries, {PAGE} were asked for")
    registry.close()
    return best * 1000


def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    lines = open(f"/proc/{pid}/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def chunks(chance, mib):
    block = chance.randbytes(1 << 20)
    for number in range(mib):
        yield number.to_bytes(8, "big") + block[8:]


def small(address, pid, chance):
    """Processor milliseconds for a manifest by tag, and for a HEAD of a blob."""
    registry, repository = oci.Registry(address), "bench/small"
    layers, config, manifest = image(chance)
    for data in [*layers, config]:
        registry.push_blob(repository, data)
    registry.push_manifest(repository, "1", manifest, oci.OCI_MANIFEST)
    spent = []
    for method, path in (("GET", "manifests/1"), ("HEAD", f"blobs/{oci.digest_of(layers[0])}")):
        begun = cpu(pid)
        for _ in range(ASKED):
            registry.ask(method, f"/v2/{repository}/{path}", headers={"Accept": oci.MANIFESTS}, expect=(200,))
        spent.append((cpu(pid) - begun) / ASKED * 1000)
    registry.close()
    return spent


def bulk(address, pid, mib):
    """Processor seconds for a GB of pushes and of pulls."""
    import hashlib

    registry, chance, repository = oci.Registry(address, timeout=600), random.Random(mib), "bench/bulk"
    digests, begun = [], cpu(pid)
    for number in range(max(1, mib // BLOB_MIB)):
        seed = random.Random(f"{number}{time.time()}").getrandbits(64)
        hasher = hashlib.sha256()
        for piece in chunks(random.Random(seed), BLOB_MIB):
            hasher.update(piece)
        digest = "sha256:" + hasher.hexdigest()
        location = registry.start_upload(repository)
        body = chunks(random.Random(seed), BLOB_MIB)
        _, headers, _ = registry.ask("PATCH", location, body, {"Content-Type": "application/octet-stream"}, (202,))
        registry.ask("PUT", oci.with_digest(oci.local(headers["Location"]), digest), b"", expect=(201,))
        digests.append(digest)
    registry.close()
    pushed, begun = cpu(pid) - begun, cpu(pid)
    for digest in digests:
        # It checks the digest.
        subprocess.run(["crane", "blob", "--insecure", f"{address}/{repository}@{digest}"], stdout=subprocess.DEVNULL, check=True)
    pulled = cpu(pid) - begun
    gigabytes = len(digests) * BLOB_MIB * (1 << 20) / 1e9
    return pushed / gigabytes, pulled / gigabytes


def judge(proxy, address):
    """Whether no operation takes more requests than it may. When the machine stands still for a moment, some are made twice: then
    all of it is done once more."""
    for _ in range(2):
        too_many = 0
        for row, count in counted(proxy, address, random.Random()):
            print(f"{row}: {count} of {MOST[row]}")
            too_many += count > MOST[row]
        if not too_many:
            return 0
    return 1


def slow(proxy, address):
    """Whether few feel that the bucket is slow now and then."""
    registry, chance = oci.Registry(address), random.Random(1)
    layers, config, manifest = image(chance)
    for data in [*layers, config]:
        registry.push_blob("bench/slow", data)
    registry.push_manifest("bench/slow", "1", manifest, oci.OCI_MANIFEST)
    registry.manifest("bench/slow", "1")
    told(proxy, "faults?rate=0.02&kinds=slow&seed=1")
    took, asked = [], 500
    for _ in range(asked):
        begun = time.monotonic()
        registry.manifest("bench/slow", "1")
        took.append((time.monotonic() - begun) * 1000)
    answer = told(proxy, "faults?rate=0")
    took.sort()
    middle, late, requests = took[asked // 2], took[asked * 99 // 100], sum(answer["requests"].values()) / asked
    print(f"half in {middle:.0f} ms, 99 in 100 in {late:.0f} ms, {requests:.2f} requests each, {answer['faults']}")
    return 1 if late > 1000 or requests > 2.2 else 0


def main():
    if sys.argv[1] == "slow":
        return slow(*sys.argv[2:])
    if sys.argv[1] == "counts":
        return judge(*sys.argv[2:])
    proxy, bucket, mib = sys.argv[1], sys.argv[2], int(sys.argv[3])
    servers = [pair.split("=") for pair in sys.argv[4:]]
    table = {}

    def note(row, name, value, unit):
        table.setdefault(row, {})[name] = value
        print(f"{row}: {name} {value:.3g} {unit}".rstrip(), flush=True)

    for name, address, direct, pid, folder in servers:
        for row, count in counted(proxy, address, random.Random(name)):
            note(f"requests: {row}", name, count, "")
        fill(bucket, folder)
        requests(proxy)
        registry = oci.Registry(address)
        for row, path in (
            (f"catalog page of {PAGE} that have {LARGE_TAGS} tags each", f"/v2/_catalog?n={PAGE}&last=large"),
            (f"catalog page of {PAGE} of {REPOSITORIES} that have one", f"/v2/_catalog?n={PAGE}&last=many/app-1000"),
            (f"tags page of {PAGE} of {TAGS}", f"/v2/tagged/app/tags/list?n={PAGE}"),
        ):
            registry.ask("GET", path, expect=(200,))
            note(f"requests: {row}", name, requests(proxy)[0], "")
            note(f"milliseconds: {row}", name, timed(direct, path), "ms")
            note(f"milliseconds: {row}, again", name, timed(direct, path, 0), "ms")
        registry.close()
    rounds = 4
    for _ in range(rounds):
        for name, _, direct, pid, _ in servers:
            pushed, pulled = bulk(direct, int(pid), mib)
            manifest, blob = small(direct, int(pid), random.Random(name))
            for row, value in (
                ("CPU seconds for a GB: push", pushed),
                ("CPU seconds for a GB: pull", pulled),
                ("CPU milliseconds: manifest by tag", manifest),
                ("CPU milliseconds: blob, HEAD", blob),
            ):
                best = min(value, table.get(row, {}).get(name, value))
                note(row, name, best, "")
    for name, _, _, pid, _ in servers:
        note("MiB of memory at the most", name, peak_mib(int(pid)), "MiB")
    names = [name for name, *_ in servers]
    print(f"\n| | {' | '.join(names)} | ratio |\n|---|{'---|' * (len(names) + 1)}")
    for row, values in table.items():
        ratio = values[names[0]] / values[names[1]] if len(names) > 1 and values.get(names[1]) else float("nan")
        print(f"| {row} | {' | '.join(f'{values[name]:.3g}' for name in names)} | {ratio:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

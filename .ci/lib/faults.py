"""Clients of two registries whose bucket fails: what was acknowledged stays, and a fault is never told as an absence.

faults.py SECONDS WORKERS RATE SEED REGISTRY,REGISTRY PROXY,PROXY

Each registry reaches the bucket through a proxy of its own (proxy.py), which is told to fail one request in 1/RATE. Clients push
images of layers that they share, read what was acknowledged, and delete some of it, so that there is garbage to collect. An
answer may be 503, if it says when to come again, and a body may break off; what is known to be there is never answered 404. At
the end the faults stop, and everything acknowledged is pulled from either registry.
"""

import collections
import http.client
import json
import random
import sys
import threading
import time

import kill
import oci

KINDS = "refused,failed,lost,cut,silent,crawling,late,short,repeated"
CUT = kill.CUT


class Patience(Exception):
    """It did not get through in time."""


class Client:
    """Asks either registry, again and again as long as it is told to."""

    def __init__(self, addresses, chance, statuses):
        self.registries = [oci.Registry(address, timeout=60) for address in addresses]
        self.chance = chance
        self.statuses = statuses

    def close(self):
        for registry in self.registries:
            registry.close()

    def once(self, method, path, body=None, headers=None):
        """(status, headers, body); None where the answer broke off, or asks to come again."""
        registry = self.chance.choice(self.registries)
        try:
            status, answered, data = registry.ask(method, path, body, headers)
        except CUT:
            registry.close()
            self.statuses["broken"] += 1
            return None
        self.statuses[status] += 1
        if status >= 500 or status == 429:
            if status not in (429, 503) or not answered["Retry-After"]:
                raise oci.Refused(f"{method} {path}: {status}, Retry-After {answered['Retry-After']}, {data[:300]!r}")
            time.sleep(self.chance.uniform(0.01, 0.1))
            return None
        return status, answered, data

    def ask(self, method, path, body=None, headers=None, expect=(200,)):
        for _ in range(60):
            answer = self.once(method, path, body, headers)
            if answer is not None:
                if answer[0] not in expect:
                    raise oci.Refused(f"{method} {path}: {answer[0]}, expected {expect}: {answer[2][:300]!r}")
                return answer
        raise Patience(f"{method} {path}")

    def push_blob(self, repository, data):
        digest = oci.digest_of(data)
        path = f"/v2/{repository}/blobs/{digest}"
        status, _, _ = self.ask("HEAD", path, expect=(200, 404))
        while status != 200:
            _, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/", b"", expect=(202,))
            location = oci.local(headers["Location"])
            headers = {"Content-Type": "application/octet-stream", "Content-Range": f"0-{len(data) - 1}"}
            status, answered, _ = self.ask("PATCH", location, data, headers, (202, 404, 416))
            if status == 416:
                # An answer was lost: where does it stand?
                _, answered, _ = self.ask("GET", location, expect=(204,))
                if answered["Range"] != f"0-{len(data) - 1}":
                    continue
            elif status == 404:
                raise oci.Refused(f"PATCH {location}: an upload that was begun is not known")
            location = oci.local(answered["Location"])
            self.ask("PUT", oci.with_digest(location, digest), b"", expect=(201, 404))
            # 404: the PUT before was done, and its answer lost. Then the blob is there.
            status, _, _ = self.ask("HEAD", path)
        return digest


class Ledger:
    """What is known to be there, and what nobody can know any more."""

    def __init__(self):
        self.lock = threading.Lock()
        self.there = {}

    def pick(self, chance):
        with self.lock:
            return chance.choice(sorted(self.there)) if self.there else None


def pushes(client, ledger, repository, chance, pool, number):
    layers = [chance.choice(pool), chance.randbytes(chance.randint(1, 20000))]
    layers, config, manifest = kill.image(chance, layers)
    for blob in [*layers, config]:
        client.push_blob(repository, blob)
    tag = f"t{number}-{chance.getrandbits(32):08x}"
    path, headers = f"/v2/{repository}/manifests/{tag}", {"Content-Type": oci.OCI_MANIFEST}
    client.ask("PUT", path, manifest, headers, (201,))
    with ledger.lock:
        ledger.there[(repository, tag)] = oci.digest_of(manifest)


def reads(client, ledger, chance):
    found = ledger.pick(chance)
    if found is None:
        return
    with ledger.lock:
        digest = ledger.there.get(found)
    repository, tag = found
    answer = client.once("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": oci.MANIFESTS})
    if answer is None:
        return
    status, _, data = answer
    with ledger.lock:
        still = ledger.there.get(found) == digest
    if still and digest and (status != 200 or oci.digest_of(data) != digest):
        raise oci.Refused(f"{repository}:{tag} answered {status} while {digest} is there")
    if status != 200:
        return
    for child in json.loads(data)["layers"]:
        answer = client.once("GET", f"/v2/{repository}/blobs/{child['digest']}")
        with ledger.lock:
            still = ledger.there.get(found) == digest
        if answer is not None and still and digest:
            if answer[0] != 200 or oci.digest_of(answer[2]) != child["digest"]:
                raise oci.Refused(f"{repository}@{child['digest']} answered {answer[0]}, {len(answer[2])} bytes")


def deletes(client, ledger, chance):
    found = ledger.pick(chance)
    if found is None:
        return
    with ledger.lock:
        # Whatever becomes of it: from now on nobody expects it.
        digest = ledger.there.pop(found, None)
    if digest:
        client.ask("DELETE", f"/v2/{found[0]}/manifests/{digest}", expect=(202, 404))


def work(stop, addresses, worker, seed, pool, ledger, problems, statuses, done):
    chance = random.Random(f"{seed}-{worker}")
    client = Client(addresses, chance, statuses)
    number = 0
    while not stop.is_set():
        number += 1
        try:
            what = chance.random()
            if what < 0.45:
                pushes(client, ledger, f"faults/worker{worker % 3}", chance, pool, f"{worker}-{number}")
                done["pushed"] += 1
            elif what < 0.85:
                reads(client, ledger, chance)
                done["read"] += 1
            else:
                deletes(client, ledger, chance)
                done["deleted"] += 1
        except Patience as error:
            done["gave up"] += 1
            print(f"gave up: {error}")
        except oci.Refused as error:
            problems.append(str(error))
    client.close()


def tell(proxies, rate, seed):
    told = []
    for number, proxy in enumerate(proxies):
        host, _, port = proxy.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", f"/-/faults?rate={rate}&seed={seed + number}&kinds={KINDS}")
        told.append(json.loads(connection.getresponse().read()))
        connection.close()
    return told


def main():
    seconds, workers, rate, seed = float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    addresses, proxies = sys.argv[5].split(","), sys.argv[6].split(",")
    chance = random.Random(seed)
    pool = [chance.randbytes(chance.randint(1, 60000)) for _ in range(12)]
    ledger, problems, statuses, done = Ledger(), [], collections.Counter(), collections.Counter()
    tell(proxies, rate, seed)
    stop = threading.Event()
    threads = [
        threading.Thread(target=work, args=(stop, addresses, worker, seed, pool, ledger, problems, statuses, done))
        for worker in range(workers)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    told = tell(proxies, 0, 0)
    requests = sum(sum(each["requests"].values()) for each in told)
    faults = collections.Counter()
    for each in told:
        faults.update(each["faults"])
    # What was to be deleted late is deleted by then.
    time.sleep(4)
    for address in addresses:
        registry = oci.Registry(address)
        for (repository, tag), digest in sorted(ledger.there.items()):
            try:
                if digest not in registry.pull(repository, tag):
                    problems.append(f"{repository}:{tag} is not {digest}")
            except (oci.Refused, *CUT) as error:
                problems.append(f"acknowledged {repository}:{tag} ({digest}): {error}")
        registry.close()
    print("\n".join(problems[:30]))
    print(f"{requests} requests to the bucket, of which went wrong {dict(sorted(faults.items()))}")
    print(f"answers {dict(sorted(statuses.items(), key=str))}")
    print(f"{dict(done)}, {len(ledger.there)} images acknowledged and there, {len(problems)} problems")
    return 0 if len(ledger.there) > 5 and len(faults) == KINDS.count(",") + 1 and not problems else 1


if __name__ == "__main__":
    sys.exit(main())

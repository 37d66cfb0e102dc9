"""What a registry does when its disk is full.

    full_disk.py begin ADDRESS STATE     begins an upload, of which a part comes
    full_disk.py fill ADDRESS STATE      pushes images until there is no room, and notes what was acknowledged
    full_disk.py full ADDRESS STATE      on a disk without a free byte: what is asked for is refused clearly, and pulls go on
    full_disk.py delete ADDRESS STATE    deletes every second image, on the full disk
    full_disk.py free ADDRESS STATE      after space came free: the upload goes on, and pushes succeed
    full_disk.py kept ADDRESS STATE      all that was acknowledged and not deleted is there, byte for byte
"""

import json
import pathlib
import random
import sys

import oci

REPOSITORY = "full/app"
LAYER_BYTES = 512 * 1024
STREAM = {"Content-Type": "application/octet-stream"}
MANIFEST = {"Content-Type": oci.OCI_MANIFEST}


def layer_of(number):
    return random.Random(number).randbytes(LAYER_BYTES)


class State:
    """What was acknowledged, kept in a file between the calls."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.known = json.loads(self.path.read_text()) if self.path.exists() else {"images": {}, "deleted": []}

    def save(self):
        self.path.write_text(json.dumps(self.known))

    def kept(self):
        return {tag: number for tag, number in self.known["images"].items() if tag not in self.known["deleted"]}


def manifest_of(number, config=b"{}"):
    layer = layer_of(number)
    descriptor = lambda data, kind: {"mediaType": kind, "digest": oci.digest_of(data), "size": len(data)}  # noqa: E731
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": oci.OCI_MANIFEST,
            "config": descriptor(config, oci.OCI_CONFIG),
            "layers": [descriptor(layer, oci.OCI_LAYER)],
        }
    ).encode()


def is_full(answer):
    """Whether an answer says clearly that there is no room."""
    status, headers, body = answer
    if status != 507:
        raise SystemExit(f"expected 507, got {status}: {body[:300]!r}")
    errors = json.loads(body)["errors"]
    assert headers["Content-Type"] == "application/json", headers["Content-Type"]
    assert errors and errors[0]["code"] == "UNAVAILABLE" and "no space" in errors[0]["message"], errors


def fill(registry, state):
    registry.push_blob(REPOSITORY, b"{}")
    for number in range(10_000):
        answer = push(registry, number)
        if answer is not None:
            is_full(answer)
            state.save()
            print(f"{len(state.known['images'])} images, and then there was no room")
            return
        state.known["images"][f"v{number}"] = number
    raise SystemExit("the disk does not become full")


def push(registry, number):
    """Pushes an image; gives the first answer that is not a success."""
    layer = layer_of(number)
    status, headers, body = answer = registry.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/", b"")
    if status != 202:
        return answer
    location = oci.local(headers["Location"])
    status, headers, body = answer = registry.ask("PATCH", location, layer, STREAM)
    if status != 202:
        return answer
    location = oci.with_digest(oci.local(headers["Location"]), oci.digest_of(layer))
    for method, path, content, kind in [
        ("PUT", location, b"", STREAM),
        ("PUT", f"/v2/{REPOSITORY}/manifests/v{number}", manifest_of(number), MANIFEST),
    ]:
        status, _, _ = answer = registry.ask(method, path, content, kind)
        if status != 201:
            return answer
    return None


def full(registry, state):
    data = layer_of("half")
    # An upload that was begun while there was room: it is noted by the step before, and its offset does not move.
    upload = state.known["upload"]
    answer = registry.ask("PATCH", upload["location"], data[upload["offset"] :], STREAM)
    is_full(answer)
    _, headers, _ = registry.ask("GET", upload["location"], expect=(204,))
    end = int(headers["Range"].split("-")[1]) + 1
    assert upload["offset"] <= end < len(data), (upload, headers["Range"])
    upload["offset"], upload["location"] = end, oci.local(headers["Location"])
    digest = oci.digest_of(data)
    is_full(registry.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}", data, STREAM))
    is_full(registry.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/", b""))
    number = next(iter(state.kept().values()))
    other = manifest_of(number).replace(b'"schemaVersion"', b' "schemaVersion"')
    is_full(registry.ask("PUT", f"/v2/{REPOSITORY}/manifests/another", other, MANIFEST))
    is_full(registry.ask("PUT", f"/v2/{REPOSITORY}/manifests/again", manifest_of(number), MANIFEST))
    for reference in ("another", "again", oci.digest_of(other)):
        registry.ask("GET", f"/v2/{REPOSITORY}/manifests/{reference}", expect=(404,))
    registry.ask("HEAD", f"/v2/{REPOSITORY}/blobs/{digest}", expect=(404,))
    registry.ask("GET", "/v2/", expect=(200,))
    kept(registry, state)
    state.save()


def begin(registry, state):
    """Begins an upload, of which half comes while there is room."""
    data = layer_of("half")
    location = registry.start_upload(REPOSITORY)
    half = 1000
    _, headers, _ = registry.ask("PATCH", location, data[:half], STREAM, (202,))
    state.known["upload"] = {"location": oci.local(headers["Location"]), "offset": half}
    state.save()


def delete(registry, state):
    for tag, number in list(state.kept().items())[::2]:
        path = f"/v2/{REPOSITORY}/manifests/"
        registry.ask("DELETE", path + tag, expect=(202,))
        registry.ask("DELETE", path + oci.digest_of(manifest_of(number)), expect=(202,))
        state.known["deleted"].append(tag)
    state.save()
    kept(registry, state)


def free(registry, state):
    data, upload = layer_of("half"), state.known["upload"]
    rest = data[upload["offset"] :]
    headers = STREAM | {"Content-Range": f"{upload['offset']}-{len(data) - 1}"}
    _, headers, _ = registry.ask("PATCH", upload["location"], rest, headers, (202,))
    digest = oci.digest_of(data)
    registry.ask("PUT", oci.with_digest(oci.local(headers["Location"]), digest), b"", expect=(201,))
    _, _, body = registry.ask("GET", f"/v2/{REPOSITORY}/blobs/{digest}", expect=(200,))
    assert body == data
    number = len(state.known["images"]) + 1000
    answer = push(registry, number)
    assert answer is None, answer
    state.known["images"][f"v{number}"] = number
    state.save()
    kept(registry, state)


def kept(registry, state):
    _, _, body = registry.ask("GET", f"/v2/{REPOSITORY}/tags/list", expect=(200,))
    assert sorted(json.loads(body)["tags"]) == sorted(state.kept()), (body, state.kept())
    for tag, number in state.kept().items():
        _, _, body = registry.ask("GET", f"/v2/{REPOSITORY}/manifests/{tag}", headers={"Accept": oci.MANIFESTS}, expect=(200,))
        assert body == manifest_of(number), tag
        layer = layer_of(number)
        _, _, body = registry.ask("GET", f"/v2/{REPOSITORY}/blobs/{oci.digest_of(layer)}", expect=(200,))
        assert body == layer, tag


def main():
    step, address, path = sys.argv[1:]
    steps = {"begin": begin, "fill": fill, "full": full, "delete": delete, "free": free, "kept": kept}
    steps[step](oci.Registry(address), State(path))


if __name__ == "__main__":
    main()

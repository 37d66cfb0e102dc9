"""A small OCI registry client on the standard library, for the steps that must see every byte and every status."""

import hashlib
import http.client
import json
import urllib.parse

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = ", ".join([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])
CHUNK = 1 << 20


class Refused(Exception):
    """An answer with a status that was not hoped for."""


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Registry:
    """One connection to one registry. Not for several threads at once."""

    def __init__(self, address, timeout=60):
        self.address = address
        self.timeout = timeout
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def open(self, method, path, body=None, headers=None):
        """Sends a request and returns the answer unread. `body` may be bytes or an iterable, which goes up chunked."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=self.timeout)
        try:
            self.connection.request(method, path, body=body, headers=headers or {})
            return self.connection.getresponse()
        except Exception:
            self.close()
            raise

    def ask(self, method, path, body=None, headers=None, expect=None):
        """Sends a request and returns (status, headers, body), read to the end."""
        answer = self.open(method, path, body, headers)
        try:
            data = answer.read()
        except Exception:
            self.close()
            raise
        if answer.will_close:
            self.close()
        if expect is not None and answer.status not in expect:
            raise Refused(f"{method} {path}: {answer.status}, expected {expect}: {data[:300]!r}")
        return answer.status, answer.headers, data

    def start_upload(self, repository):
        _, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/", b"", expect=(202,))
        return local(headers["Location"])

    def push_blob(self, repository, data):
        """Pushes a blob as most clients do: POST, PATCH, PUT."""
        digest = digest_of(data)
        location = self.start_upload(repository)
        _, headers, _ = self.ask("PATCH", location, data, {"Content-Type": "application/octet-stream"}, (202,))
        self.ask("PUT", with_digest(local(headers["Location"]), digest), b"", expect=(201,))
        return digest

    def push_manifest(self, repository, reference, data, media_type):
        path = f"/v2/{repository}/manifests/{reference}"
        self.ask("PUT", path, data, {"Content-Type": media_type}, (201,))
        return digest_of(data)

    def manifest(self, repository, reference):
        """(bytes, media type) of a manifest; its digest header, if any, must be true."""
        path = f"/v2/{repository}/manifests/{reference}"
        _, headers, data = self.ask("GET", path, headers={"Accept": MANIFESTS}, expect=(200,))
        claimed = headers["Docker-Content-Digest"]
        if claimed and claimed != digest_of(data, claimed.partition(":")[0]):
            raise Refused(f"{path}: {claimed} is not the digest of what came")
        return data, headers["Content-Type"]

    def blob_matches(self, repository, digest):
        """Downloads a blob in pieces and says whether it has its digest. Returns its length."""
        path = f"/v2/{repository}/blobs/{digest}"
        answer = self.open("GET", path)
        if answer.status != 200:
            answer.read()
            raise Refused(f"GET {path}: {answer.status}")
        hasher, length = hashlib.new(digest.partition(":")[0]), 0
        while piece := answer.read(CHUNK):
            hasher.update(piece)
            length += len(piece)
        if hasher.hexdigest() != digest.partition(":")[2]:
            raise Refused(f"GET {path}: {length} bytes with another digest")
        return length

    def pages(self, path, key):
        """Every entry of a paged list."""
        found = []
        while path:
            status, headers, data = self.ask("GET", path)
            if status == 404:
                return found
            if status != 200:
                raise Refused(f"GET {path}: {status}")
            found += json.loads(data)[key] or []
            link = headers["Link"]
            path = local(link[link.index("<") + 1 : link.index(">")]) if link else None
        return found

    def repositories(self):
        return self.pages("/v2/_catalog", "repositories")

    def tags(self, repository):
        return self.pages(f"/v2/{repository}/tags/list", "tags")

    def pull(self, repository, reference, seen=None):
        """Pulls a manifest and all that it names, checks each digest, and returns {digest: length}."""
        seen = {} if seen is None else seen
        data, media_type = self.manifest(repository, reference)
        algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
        digest = digest_of(data, algorithm)
        if ":" in reference and digest != reference:
            raise Refused(f"{repository}@{reference}: came with digest {digest}")
        seen[digest] = len(data)
        document = json.loads(data)
        if media_type != document.get("mediaType", media_type):
            raise Refused(f"{repository}@{digest}: served as {media_type}, is {document['mediaType']}")
        for child in document.get("manifests", []):
            if child["digest"] not in seen:
                self.pull(repository, child["digest"], seen)
        for child in [document["config"]] if "config" in document else []:
            self.pull_blob(repository, child, seen)
        for child in document.get("layers", []) + document.get("blobs", []):
            self.pull_blob(repository, child, seen)
        return seen

    def pull_blob(self, repository, descriptor, seen):
        digest = descriptor["digest"]
        if digest not in seen:
            seen[digest] = self.blob_matches(repository, digest)
        if seen[digest] != descriptor["size"]:
            raise Refused(f"{repository}@{digest}: {seen[digest]} bytes, its descriptor says {descriptor['size']}")


def local(location):
    """The path and query of a Location, whether it was absolute or relative."""
    parts = urllib.parse.urlsplit(location)
    return urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))


def with_digest(location, digest):
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"

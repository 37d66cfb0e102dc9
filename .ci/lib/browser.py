"""What the pages show in a browser: images, an index, a chart, artifacts, signatures, and content that means no good.

browser.py ADDRESS USER:PASSWORD
"""

import base64
import json
import random
import sys

import oci

EMPTY = "application/vnd.oci.empty.v1+json"
HOSTILE = [
    '"><script>window.hacked=1</script>',
    "<img src=x onerror=window.hacked=1>",
    "'-window.hacked=1-'",
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}}",
    "</title></textarea></style><svg onload=window.hacked=1>",
    "\u202egnp.exe \u0000 \u2028",
    "x" * 5000,
]


class Pusher(oci.Registry):
    """A client with a password."""

    def __init__(self, address, login):
        super().__init__(address)
        self.authorization = "Basic " + base64.b64encode(login.encode()).decode()

    def open(self, method, path, body=None, headers=None):
        return super().open(method, path, body, {**(headers or {}), "Authorization": self.authorization})

    def blob(self, repository, data, media_type, title=None):
        descriptor = {"mediaType": media_type, "digest": self.push_blob(repository, data), "size": len(data)}
        return {**descriptor, "annotations": {"org.opencontainers.image.title": title}} if title else descriptor

    def manifest(self, repository, tag, document, media_type=oci.OCI_MANIFEST):
        data = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
        digest = self.push_manifest(repository, tag or oci.digest_of(data), data, media_type)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def image(self, repository, tag, layers, arch="amd64", env=(), labels=None, **more):
        steps = [{"created_by": "/bin/sh -c #(nop) ADD file:5c8 in / "}]
        steps += [{"created_by": f"RUN /bin/sh -c make install-{n} # buildkit"} for n in range(1, len(layers))]
        run = {"Env": ["PATH=/usr/bin:/bin", *env], "Entrypoint": ["/app"], "Cmd": ["--port", "8080"], "User": "1000"}
        run |= {"ExposedPorts": {"8080/tcp": {}}, "Labels": labels or {"org.opencontainers.image.source": "https://example.com/app"}}
        config = {"architecture": arch, "os": "linux", "created": "2026-01-02T03:04:05Z", "config": run}
        config["history"] = [*steps, {"created_by": 'CMD ["/app"]', "empty_layer": True}]
        document = {"config": self.blob(repository, json.dumps(config).encode(), oci.OCI_CONFIG)}
        document["layers"] = [self.blob(repository, layer, oci.OCI_LAYER) for layer in layers]
        pushed = self.manifest(repository, tag, {**document, **more})
        return {**pushed, "platform": {"os": "linux", "architecture": arch}}

    def artifact(self, repository, tag, kind, files, subject=None, config=b"{}", config_type=EMPTY, annotations=None):
        document = {"config": self.blob(repository, config, config_type)}
        document["layers"] = [self.blob(repository, data, "application/octet-stream", title) for title, data in files]
        document |= {"artifactType": kind} if kind else {}
        document |= {"subject": subject} if subject else {}
        document |= {"annotations": annotations} if annotations else {}
        return self.manifest(repository, tag, document)


def main():
    registry = Pusher(sys.argv[1], sys.argv[2])
    rng = random.Random(1)
    base = rng.randbytes(400_000)

    web = "team/web/app"
    for version in ["1.8.0", "1.9.0", "1.10.0", "2.0.0", "old-1", "old-2", "old-3"]:
        registry.image(web, version, [base, rng.randbytes(90_000), version.encode() * 900], env=[f"VERSION={version}"])
    children = [registry.image(web, None, [base, rng.randbytes(150_000)], arch) for arch in ["amd64", "arm64"]]
    attestation = registry.artifact(web, None, None, [("provenance.json", b"{}")])
    attestation |= {"platform": {"os": "unknown", "architecture": "unknown"}}
    attestation |= {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    latest = registry.manifest(web, "latest", {"manifests": [*children, attestation]}, oci.OCI_INDEX)
    registry.artifact(web, None, "application/vnd.dev.cosign.artifact.sig.v1+json", [("signature", b"s")], latest)
    sbom = registry.artifact(web, None, "application/spdx+json", [("sbom.spdx.json", b"{}")], latest)
    registry.artifact(web, None, "application/vnd.cncf.notary.signature", [("signature", b"t")], sbom)

    chart = json.dumps({"name": "nginx", "version": "15.0.0", "appVersion": "1.27", "description": "A web server"}).encode()
    helm = "application/vnd.cncf.helm.config.v1+json"
    registry.artifact("charts/nginx", "15.0.0", None, [("nginx-15.0.0.tgz", b"tgz")], config=chart, config_type=helm)
    registry.artifact("files/handbook", "1", "application/vnd.example.handbook", [("handbook.pdf", b"%PDF"), ("notes.txt", b"notes")])
    registry.image("public/hello", "latest", [b"hello"])
    registry.image("gone/soon", "1", [b"gone"])
    registry.image("gone/soon", "2", [b"gone", b"more"])
    for number in range(60):
        registry.image(f"many/service-{number:02}", "1.0", [b"service"])

    for number, text in enumerate(HOSTILE):
        labels = {text: text, f"href{number}": text}
        registry.image("hostile/app", f"t{number}", [b"h"], env=[f"X={text}"], labels=labels, annotations={text: text})
        files = [(text, b"<script>window.hacked=1</script>")]
        registry.artifact("hostile/app", f"a{number}", text.replace("\u0000", "")[:200], files, annotations={text: text})


if __name__ == "__main__":
    main()

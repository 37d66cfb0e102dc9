"""Compares a registry with a volume, and a registry with what it held before.

volume.py served ADDRESS ROOT     every tag, manifest and blob that lies in the volume under ROOT is served byte for byte
volume.py lists ADDRESS           prints the catalog and every tag list, without fallback tags of referrers
volume.py tagged ADDRESS FILE     writes down every tag and the digests of all that it reaches
volume.py kept ADDRESS FILE       every tag written down in FILE still reaches the same, and every byte comes
"""

import json
import pathlib
import sys

import oci

LAYOUT = "docker/registry/v2"


def fallback(tag):
    """A tag that stands in for the referrers API. A registry that has the API may keep it out of its lists."""
    return tag.startswith(("sha256-", "sha512-"))


def links(folder):
    """The digests that the link files under a folder of the layout name: ALGORITHM/HEX/link."""
    for link in sorted(folder.glob("*/*/link")):
        text = link.read_text()
        if text:
            yield text.strip()


def blob_file(root, digest):
    algorithm, _, value = digest.partition(":")
    return root / LAYOUT / "blobs" / algorithm / value[:2] / value / "data"


def repositories(root):
    top = root / LAYOUT / "repositories"
    return {str(path.parent.relative_to(top)): path.parent for path in sorted(top.rglob("_manifests"))}


class Tally:
    """Counts what was compared and keeps what was wrong."""

    def __init__(self):
        self.good = 0
        self.wrong = []

    def compare(self, what, action):
        try:
            problem = action()
        except (oci.Refused, OSError) as error:
            problem = str(error)
        if problem:
            self.wrong.append(f"{what}: {problem}")
        else:
            self.good += 1

    def close(self, what):
        print("\n".join(self.wrong[:50]))
        print(f"{what}: {self.good} as they should be, {len(self.wrong)} not")
        return 0 if self.good and not self.wrong else 1


def same_manifest(registry, root, repository, reference, digest):
    served, _ = registry.manifest(repository, reference)
    return None if served == blob_file(root, digest).read_bytes() else "other bytes than in the volume"


def same_blob(registry, root, repository, digest):
    """Compares a served blob with its file, piece by piece."""
    path = blob_file(root, digest)
    answer = registry.open("GET", f"/v2/{repository}/blobs/{digest}")
    wanted = 200 if path.exists() else 404
    if answer.status != 200:
        answer.read()
        return None if answer.status == wanted else f"status {answer.status}, expected {wanted}"
    if wanted != 200:
        registry.close()
        return "served, although the volume has it no more"
    with path.open("rb") as file:
        while piece := answer.read(oci.CHUNK):
            if piece != file.read(len(piece)):
                registry.close()
                return "other bytes than in the volume"
        return "shorter than in the volume" if file.read(1) else None


def served(registry, root):
    tally = Tally()
    found = repositories(root)
    listed = set(registry.repositories())
    for name, folder in found.items():
        tags = {path.name: (path / "current/link").read_text().strip() for path in folder.glob("_manifests/tags/*")}
        revisions = list(links(folder / "_manifests/revisions"))
        if revisions:
            tally.compare(f"{name} in the catalog", lambda n=name: None if n in listed else "missing")
        shown = set(registry.tags(name))
        expected = {tag for tag in tags if not fallback(tag)}
        problem = f"listed {sorted(shown)}, in the volume {sorted(tags)}"
        good = expected <= shown <= set(tags)
        tally.compare(f"{name} tag list", lambda g=good, p=problem: None if g else p)
        for tag, digest in tags.items():
            if tag in expected or tag in shown:
                tally.compare(f"{name}:{tag}", lambda t=tag, d=digest, n=name: same_manifest(registry, root, n, t, d))
        for digest in revisions:
            tally.compare(f"{name}@{digest}", lambda d=digest, n=name: same_manifest(registry, root, n, d, d))
        for digest in links(folder / "_layers"):
            tally.compare(f"{name} blob {digest}", lambda d=digest, n=name: same_blob(registry, root, n, d))
    return tally.close(f"{len(found)} repositories of the volume")


def lists(registry):
    # Distribution 2.8 gives tags in no order, so they are put into one here.
    for name in sorted(registry.repositories()):
        print(name, *sorted(tag for tag in registry.tags(name) if not fallback(tag)))
    return 0


def tagged(registry, file):
    """Everything that a tag reaches. Fallback tags are left out: they belong to the registry, not to a user."""
    held = {
        f"{name}:{tag}": registry.pull(name, tag)
        for name in registry.repositories()
        for tag in registry.tags(name)
        if not fallback(tag)
    }
    file.write_text(json.dumps(held, indent=1, sort_keys=True))
    print(f"{len(held)} tags written down")
    return 0 if held else 1


def kept(registry, file):
    tally = Tally()
    for reference, before in json.loads(file.read_text()).items():
        name, _, tag = reference.rpartition(":")
        tally.compare(
            reference,
            lambda n=name, t=tag, b=before: None if registry.pull(n, t) == b else "reaches other content than before",
        )
    return tally.close("tags with all that they reach")


def main():
    command, address, *paths = sys.argv[1:]
    commands = {"served": served, "lists": lists, "tagged": tagged, "kept": kept}
    return commands[command](oci.Registry(address), *map(pathlib.Path, paths))


if __name__ == "__main__":
    sys.exit(main())

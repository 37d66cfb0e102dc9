"""Pulls one reference with all that it names, and checks every digest: pull.py ADDRESS REPOSITORY REFERENCE."""

import sys

import oci


def main():
    address, repository, reference = sys.argv[1:]
    pulled = oci.Registry(address).pull(repository, reference)
    print(f"{repository} {reference}: {len(pulled)} manifests and blobs, {sum(pulled.values())} bytes")


if __name__ == "__main__":
    main()

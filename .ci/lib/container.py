"""Makes a container in an emulator of Azure Blob Storage: container.py ENDPOINT NAME"""

import base64
import datetime
import hashlib
import hmac
import sys
import urllib.request

# The account of emulators, which all of them have.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-08-06"


def main():
    endpoint, name = sys.argv[1:]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = [f"x-ms-date:{now}", f"x-ms-version:{VERSION}"]
    signed = "\n".join(["PUT"] + [""] * 11 + headers + [f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"])
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(
        f"{endpoint}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": now,
            "x-ms-version": VERSION,
            "content-length": "0",
            "authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        },
    )
    urllib.request.urlopen(request, timeout=30).close()


if __name__ == "__main__":
    main()

"""The metadata service of a machine in Amazon's cloud, as far as it tells keys.

imds.py KEY SECRET          prints the address that it listens on
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOLDER = "/latest/meta-data/iam/security-credentials/"


class Metadata(BaseHTTPRequestHandler):
    def tell(self, text):
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        self.tell("a-token")

    def do_GET(self):
        if self.headers.get("x-aws-ec2-metadata-token") != "a-token":
            self.send_error(401)
        elif self.path == FOLDER:
            self.tell("a-role")
        elif self.path == f"{FOLDER}a-role":
            keys = {"Code": "Success", "AccessKeyId": sys.argv[1], "SecretAccessKey": sys.argv[2], "Token": ""}
            self.tell(json.dumps({**keys, "Expiration": "2099-01-01T00:00:00Z"}))
        else:
            self.send_error(404)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    print(f"127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

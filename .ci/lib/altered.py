"""A service of objects that is another one, but for what is altered on the way to it.

altered.py HOST:PORT WAY [PORT]    prints the address that it listens on

    unconditional    requests come without conditions: what is told only to create overwrites
    batches          each request in a batch ends in an empty line, without which Go's parser does not take it
"""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Forwarding(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        # The name of the host is signed, so it stays.
        headers = dict(self.headers.items())
        if sys.argv[2] == "unconditional":
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("if-")}
        elif self.path.startswith("/batch/"):
            body = body.replace(b" HTTP/1.1\r\n\r\n--", b" HTTP/1.1\r\n\r\n\r\n--")
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        length = answer.getheader("content-length") if self.command == "HEAD" else len(content)
        self.send_header("content-length", str(length or 0))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    # Hundreds come at once.
    request_queue_size = 1024


def main():
    server = Server(("127.0.0.1", int((sys.argv[3:] or ["0"])[0])), Forwarding)
    print(f"127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

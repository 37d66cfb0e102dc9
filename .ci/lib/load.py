"""Many clients that all log in as one user, on connections that they keep, while something changes under them. They come
from one address behind a proxy on this host, so that what one address may do holds for them.

    load.py ADDRESS LOGIN PATH CLIENTS STOP-FILE

Prints how often each status came, and fails if any other than 200 did, or none. A connection that the server ended between
two requests is opened again, as clients do.
"""

import base64
import collections
import http.client
import os
import sys
import threading


def main():
    address, login, path, clients, stop = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
    headers = {
        "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
        "X-Forwarded-For": "198.51.100.9",
    }
    lock, seen = threading.Lock(), collections.Counter()

    def run():
        connection = http.client.HTTPConnection(address, timeout=30)
        mine = collections.Counter()
        while not os.path.exists(stop):
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                mine[answer.status] += 1
            except (http.client.RemoteDisconnected, BrokenPipeError):
                connection.close()
            except OSError as error:
                mine[repr(error)] += 1
                connection.close()
        with lock:
            seen.update(mine)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(dict(seen))
    sys.exit(0 if set(seen) == {200} and seen[200] > clients else 1)


main()

"""The image's HEALTHCHECK: exit code 0 if /livez of the driftd in this container says that its loop turns."""

import http.client
import os
import sys


def main() -> int:
    """Asks on the port that the image listens on, past any proxy."""
    port = int(os.environ["DRIFTD_HTTP__LISTEN"].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        print(answer.read(500).decode(errors="replace"))
    except OSError as error:
        print(f"127.0.0.1:{port} does not answer: {error}")
        return 1
    return 0 if answer.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())

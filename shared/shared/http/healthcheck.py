"""`python -m shared.http.healthcheck PORT`: exit 0 when the service on this port is ready. For images without curl."""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 3


def main() -> int:
    url = f"http://127.0.0.1:{int(sys.argv[1])}/ready"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # always our own http URL
            return 0 if answer.status == 200 else 1
    except urllib.error.HTTPError as error:
        print(error.read().decode(errors="replace"), file=sys.stderr)
    except OSError as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

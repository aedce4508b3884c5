"""A service: it registers, reports its status, does what others ask for, and tells everybody what it did.

Start a launcher, then this, then watch:

    quarterdeck serve
    python examples/service.py
    quarterdeck publish index '{"folder": "docs"}'

It ends with a goodbye on Ctrl-C. End it with `kill -9` instead, and the launcher says for it that it has gone.
"""

from __future__ import annotations

import quarterdeck
from quarterdeck.schema.events import Published

FILES = {"docs": 12, "src": 61}


def main() -> None:
    with quarterdeck.connect_blocking(kind="srv", name="indexer", events=("published",)) as client:
        client.report_status({"state": "idle"})
        print(f"indexer: registered as client {client.client_id} of launcher pid {client.launcher_pid}")
        for event in client.events("published"):
            match event:
                case Published(topic="index", payload={"folder": str(folder)}):
                    index(client, folder)


def index(client: quarterdeck.BlockingClient, folder: str) -> None:
    client.report_status({"state": "indexing", "folder": folder})
    files = FILES.get(folder, 0)
    print(f"indexer: indexed {folder}")
    client.publish("indexed", {"folder": folder, "files": files})
    client.report_status({"state": "idle"})


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # the `with` has said goodbye

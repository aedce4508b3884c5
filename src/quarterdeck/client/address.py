"""Address: where a client connects to; apart from the clients, so that who only asks for it imports neither."""

from __future__ import annotations

import os

from quarterdeck.transport import endpoint as endpoints


def find_endpoint(*, endpoint: str | None = None, data_dir: str | os.PathLike[str] | None = None) -> str:
    """The address that a client connects to (protocol, section 9).

    First `endpoint`, then the one of `data_dir`, then `QUARTERDECK_ENDPOINT`, then the one of the default data folder.
    """
    return endpoints.find(endpoint, data_dir, os.environ)

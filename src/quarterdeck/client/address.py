"""Address: where a client connects to, and who said so; apart from the clients, so that who only asks for it imports
neither.

Rule: a program does not look for a quarterdeck.toml, as commands do. A command is called in a folder by somebody who
means what lies there; a program is started anywhere, and whose host or service it is must not depend on that. Where
nobody listens, the error names the launcher that a command would have found.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from quarterdeck.errors import NoLauncher
from quarterdeck.transport import endpoint as endpoints

if TYPE_CHECKING:
    from quarterdeck.errors import Origin


def find_endpoint(*, endpoint: str | None = None, data_dir: str | os.PathLike[str] | None = None) -> str:
    """The address that a client connects to (protocol, section 9).

    First `endpoint`, then the one of `data_dir`, then `QUARTERDECK_ENDPOINT`, then the one of the default data folder.
    """
    return endpoints.find(endpoint, data_dir, os.environ)


class Address:
    """The address as `find_endpoint` says it, and which of the four it was."""

    __slots__ = ("origin", "text")

    def __init__(self, endpoint: str | None, data_dir: str | os.PathLike[str] | None) -> None:
        self.text = find_endpoint(endpoint=endpoint, data_dir=data_dir)
        self.origin: Origin = "default"
        if endpoint is not None:
            self.origin = "endpoint"
        elif data_dir is not None:
            self.origin = "data_dir"
        elif os.environ.get(endpoints.ENDPOINT_VARIABLE):
            self.origin = "environment"

    def missed(self) -> NoLauncher:
        """What is raised where nobody listens there."""
        from quarterdeck.client.nearby import launcher_here

        here = launcher_here()
        if here is None or here.endpoint == self.text:
            return NoLauncher(self.text, self.origin)
        instead = f"the launcher of {here.deckfile} runs (pid {here.pid}); to connect to it: data_dir={here.data_dir!r}"
        return NoLauncher(self.text, self.origin, f"{instead}, or QUARTERDECK_ENDPOINT={here.endpoint!r}")

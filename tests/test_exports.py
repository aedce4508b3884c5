"""The public names, pinned: a name that goes or comes is a decision."""

from __future__ import annotations

import subprocess
import sys

import quarterdeck
import quarterdeck.client
import quarterdeck.errors

PUBLIC = {
    "Action",
    "AlreadyRunning",
    "BlockingClient",
    "Client",
    "CommandRefused",
    "ConfigError",
    "ConnectionLost",
    "Cursor",
    "Done",
    "EndpointDenied",
    "EndpointError",
    "EndpointRefused",
    "Fail",
    "Issue",
    "JournalDamaged",
    "JournalError",
    "JournalUnavailable",
    "LocalProtocolError",
    "Mirror",
    "NoLauncher",
    "ProtocolError",
    "QuarterdeckError",
    "Refusal",
    "RemoteProtocolError",
    "RunChanged",
    "Saga",
    "SagaContext",
    "SagaDirective",
    "Sender",
    "Slice",
    "SliceCommand",
    "SliceContext",
    "SliceEvent",
    "Timeout",
    "Undo",
    "Unsupported",
    "Wait",
    "__version__",
    "connect",
    "connect_blocking",
}
CLIENT = {
    "BlockingClient",
    "Client",
    "Cursor",
    "Holder",
    "LauncherHere",
    "RunChanged",
    "Told",
    "Unknown",
    "connect",
    "connect_blocking",
    "current_holder",
    "current_holder_at",
    "default_data_dir",
    "prepare_data_dir",
    "find_endpoint",
    "last_holder",
    "last_holder_at",
    "launcher_here",
}


def test_the_package_exports_these_names() -> None:
    assert set(quarterdeck.__all__) == set(dir(quarterdeck)) == PUBLIC
    for name in PUBLIC:
        assert getattr(quarterdeck, name) is not None


def test_the_client_exports_these_names() -> None:
    assert set(quarterdeck.client.__all__) == set(dir(quarterdeck.client)) == CLIENT
    for name in CLIENT:
        assert getattr(quarterdeck.client, name) is not None


def test_every_exception_is_exported() -> None:
    found = {name for name, value in vars(quarterdeck.errors).items() if isinstance(value, type)}
    assert {name for name in found if issubclass(vars(quarterdeck.errors)[name], Exception)} <= PUBLIC


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    assert not hasattr(quarterdeck, "connectt")
    assert not hasattr(quarterdeck.client, "connectt")


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys, quarterdeck; print(*sorted({'quarterdeck', 'quarterdeck.errors', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "quarterdeck"

"""The named pipe's rules that hold without Windows: its name, its access list, its flags, its twin's signatures."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from quarterdeck.errors import Unsupported
from quarterdeck.transport import endpoint, pipe, unix


def test_name_is_local_and_holds_the_hash() -> None:
    assert endpoint.pipe_name("00ff00ff00ff00ff") == "\\\\.\\pipe\\quarterdeck-00ff00ff00ff00ff"


def test_address_on_windows_is_the_pipe_of_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert endpoint.address_of(tmp_path, {}) == endpoint.pipe_name(endpoint.hash16(tmp_path))


def test_access_list_names_one_user_and_inherits_nothing() -> None:
    assert pipe.sddl_for("S-1-5-21-1-2-3-1001") == "D:P(A;;GA;;;S-1-5-21-1-2-3-1001)"


def test_only_the_first_instance_claims_the_name() -> None:
    assert pipe.open_mode(first=True) == 0x40080003  # FIRST_PIPE_INSTANCE | OVERLAPPED | DUPLEX
    assert pipe.open_mode(first=False) == 0x40000003


def test_pipe_carries_bytes_and_rejects_other_machines() -> None:
    assert pipe.pipe_mode() == 0x8


def test_server_may_learn_who_the_client_is_but_not_act_for_it() -> None:
    assert pipe.client_flags() == 0x40110000  # OVERLAPPED | SQOS_PRESENT | IDENTIFICATION


@pytest.mark.skipif(sys.platform == "win32", reason="says what happens elsewhere")
def test_pipe_is_unsupported_elsewhere() -> None:
    with pytest.raises(Unsupported):
        pipe.Listener(endpoint.pipe_name("0" * 16))
    with pytest.raises(Unsupported):
        pipe.connect(endpoint.pipe_name("0" * 16), timeout_s=1)


@pytest.mark.parametrize("name", ["connect", "open_connection"])
def test_functions_have_their_twins_signature(name: str) -> None:
    assert str(inspect.signature(getattr(pipe, name))) == str(inspect.signature(getattr(unix, name)))


@pytest.mark.parametrize("name", ["Connection", "Listener"])
def test_classes_have_their_twins_methods(name: str) -> None:
    def public(kind: type) -> dict[str, str]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {method: str(inspect.signature(what)) for method, what in methods if not method.startswith("_")}

    assert public(getattr(pipe, name)) == public(getattr(unix, name))


def test_stream_has_the_methods_of_a_socket_that_clients_use() -> None:
    methods = {name for name in vars(pipe.Stream) if not name.startswith("_")}
    assert methods == {"sendall", "recv", "settimeout", "fileno", "close"}
    assert all(hasattr(unix.Stream, method) for method in methods)

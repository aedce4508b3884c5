"""The texts of systemd units: what is quoted how, and what cannot stand in one."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.errors import ConfigError
from quarterdeck.ui.units import Service, checked_name, name_of, service_text, socket_text

USERS = Service(
    name="shop", python="/usr/bin/python3", deckfile="/a/quarterdeck.toml", folder="/a", search_path="/usr/bin:/bin"
)


def changed(service: Service = USERS, **members: Any) -> Service:
    values = {name: getattr(service, name) for name in Service.__struct_fields__}
    return Service(**{**values, **members})


MACHINES = changed(
    is_system=True, user="alice", endpoint="/run/shop/launcher.sock", socket_path="/run/shop/launcher.sock",
    runtime_folder="shop",
)  # fmt: skip


def settings(text: str) -> dict[str, list[str]]:
    """The values of every key of a unit."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_a_service_of_a_user() -> None:
    unit = settings(service_text(USERS))
    assert unit["Type"] == ["notify"]
    assert unit["ExecStart"] == ['"/usr/bin/python3" -P -m quarterdeck serve --config "/a/quarterdeck.toml"']
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["Environment"] == ['"PATH=/usr/bin:/bin"']
    assert (unit["KillMode"], unit["Delegate"]) == (["mixed"], ["yes"])
    assert unit["WantedBy"] == ["default.target"]
    assert not {"User", "Requires", "RuntimeDirectory"} & unit.keys()


def test_a_service_of_the_machine_with_a_socket() -> None:
    unit = settings(service_text(MACHINES))
    assert unit["ExecStart"][0].endswith(' --endpoint "/run/shop/launcher.sock"')
    assert unit["User"] == ["alice"]
    assert unit["Requires"] == ["shop.socket"]
    assert unit["After"] == ["network.target", "shop.socket"]
    assert (unit["RuntimeDirectory"], unit["RuntimeDirectoryPreserve"]) == (["shop"], ["yes"])
    assert unit["WantedBy"] == ["multi-user.target"]
    sock = settings(socket_text(MACHINES))
    assert sock["ListenStream"] == ["/run/shop/launcher.sock"]
    assert (sock["SocketUser"], sock["SocketMode"], sock["DirectoryMode"]) == (["alice"], ["0600"], ["0755"])
    assert sock["WantedBy"] == ["sockets.target"]


def test_the_folder_of_a_user_s_socket_is_closed_to_others() -> None:
    sock = settings(socket_text(changed(socket_path="%t/quarterdeck/0.sock")))
    assert (sock["ListenStream"], sock["DirectoryMode"]) == (["%t/quarterdeck/0.sock"], ["0700"])
    assert "SocketUser" not in sock


def test_processes_that_outlive_the_launcher_are_not_killed_with_it() -> None:
    unit = settings(service_text(changed(adopts=True)))
    assert unit["KillMode"] == ["process"]
    assert "Delegate" not in unit


def test_what_systemd_would_read_otherwise_is_quoted() -> None:
    odd = '/a %h "b" \\c $x/\té'
    unit = settings(service_text(changed(deckfile=odd, search_path='/p %h "q" $r', python="/100%/py thon")))
    assert unit["ExecStart"] == [r'"/100%%/py thon" -P -m quarterdeck serve --config "/a %%h \"b\" \\c $$x/\té"']
    assert unit["Environment"] == [r'"PATH=/p %%h \"q\" $r"']
    assert settings(service_text(changed(folder='/a %h $x "b"')))["WorkingDirectory"] == ['/a %%h $x "b"']
    assert settings(service_text(changed(deckfile="/\x01")))["ExecStart"][0].endswith(r'"/\x01"')


@pytest.mark.parametrize("folder", ["/a\nUser=root", "/a ", "/a\\", "/\udcff"])
def test_a_path_that_no_unit_can_name_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="a unit cannot name"):
        service_text(changed(folder=folder))


@pytest.mark.parametrize("python", ["/it's/python", '/a"b/python', "/a\\b/python", "/a\nb/python", "/\udcff/python"])
def test_a_program_that_no_unit_can_name_is_refused(python: str) -> None:
    with pytest.raises(ConfigError, match="a unit cannot name a program"):
        service_text(changed(python=python))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/a/shop", "quarterdeck-shop"),
        ("/home/a/my shop!", "quarterdeck-my-shop"),
        ("/home/a/-x.", "quarterdeck-x"),
        ("/home/a/größe", "quarterdeck-gr-e"),
        ("/home/a/" + "x" * 100, "quarterdeck-" + "x" * 52),
        ("/", "quarterdeck"),
        ("/home/a/店", "quarterdeck"),
    ],
)
def test_a_unit_is_named_after_its_folder(folder: str, name: str) -> None:
    assert name_of(folder) == name
    assert checked_name(name) == name


def test_a_chosen_name_is_one_that_systemd_takes() -> None:
    assert checked_name("shop") == checked_name("shop.service") == "shop"
    for wrong in ("", "-f", ".x", "a b", "a@b", "a:b", "a/b", "x" * 65, ".service"):
        with pytest.raises(ConfigError, match="expected at most 64 letters"):
            checked_name(wrong)


def test_who_ends_by_its_stop_signal_has_not_failed() -> None:
    assert "SuccessExitStatus" not in settings(service_text(USERS))
    unit = settings(service_text(changed(stopped_code=143)))
    assert (unit["SuccessExitStatus"], unit["Restart"]) == (["143"], ["on-failure"])

"""Settings: read from KEY=VALUE texts, refused by name, and all of them described."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.config import Config, Limits, describe
from quarterdeck.errors import ConfigError


def test_the_defaults_are_the_protocols() -> None:
    limits = Config().limits
    assert limits.connections == 1_024
    assert limits.max_line_bytes == 1_048_576
    assert limits.register_timeout == 10
    assert limits.bad_lines == 100
    assert (limits.payload_bytes, limits.status_bytes) == (64 * 1024, 16 * 1024)
    assert (limits.ring_events, limits.ring_bytes) == (65_536, 64 * 1024 * 1024)
    assert limits.write_buffer_bytes == 256 * 1024
    assert (limits.replies, limits.reply_bytes) == (64, 1_048_576)
    assert limits.shutdown_flush == 1
    assert limits.exited_processes == 256
    assert (Config().pid_check, Config().roles) == ("on", "claimed")


def test_no_settings_are_the_defaults() -> None:
    assert Config.from_settings([]) == Config()


def test_settings_are_read() -> None:
    settings = ["pid_check=off", "limits.ring_events=100", "bad_lines=3", "limits.register_timeout=0.5"]
    config = Config.from_settings(settings)
    assert config.pid_check == "off"
    assert (config.limits.ring_events, config.limits.bad_lines, config.limits.register_timeout) == (100, 3, 0.5)
    assert config.limits.connections == Limits().connections


def test_blanks_around_key_and_value_do_no_harm_and_the_last_of_a_key_counts() -> None:
    assert Config.from_settings(["connections = 5", " limits.connections=7 "]).limits.connections == 7


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("connections", "KEY=VALUE"),
        ("", "KEY=VALUE"),
        ("speed=9", "no such setting"),
        ("limits=9", "no such setting"),
        ("limits.speed=9", "no such setting"),
        ("limits.pid_check=off", "no such setting"),
        ("=9", "no such setting"),
        ("connections=many", "limits.connections=many"),
        ("connections=", "limits.connections="),
        ("connections=0", "limits.connections=0"),
        ("connections=-1", "limits.connections=-1"),
        ("connections=1.5", "limits.connections=1.5"),
        ("max_line_bytes=255", ">= 256"),
        ("register_timeout=0", "> 0"),
        ("register_timeout=-1", "> 0"),
        ("register_timeout=soon", "register_timeout=soon"),
        ("register_timeout=nan", "register_timeout=nan"),
        ("register_timeout=inf", "register_timeout=inf"),
        ("exited_processes=-1", ">= 0"),
        ("pid_check=maybe", "expected one of on, off"),
        ("roles=Proven", "expected one of claimed, proven"),
        ("loop=trio", "expected one of auto, asyncio, uvloop"),
        ("loop=\udcfa", "expected UTF-8 text"),
        ("on_hang=kill", "expected one of observe, restart"),
        ("probe_interval=0", ">= 0.05"),
        ("probe_misses=0", ">= 1"),
        ("probe_ui_thread=maybe", "probe_ui_thread=maybe"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_settings([setting])
    assert said in str(caught.value)


def test_no_exited_records_may_be_wanted() -> None:
    assert Config.from_settings(["exited_processes=0"]).limits.exited_processes == 0


def test_roles_cannot_be_proven_by_pids_that_nobody_checks() -> None:
    with pytest.raises(ConfigError, match="pid_check"):
        Config.from_settings(["roles=proven", "pid_check=off"])
    assert Config.from_settings(["roles=proven"]).roles == "proven"


def test_who_is_to_correct_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"correct=true needs a witness, who moves the windows \(witness=x11\)"):
        Config.from_settings(["correct=true"])
    assert Config.from_settings(["correct=true", "witness=x11"]).correct


def test_a_hang_can_only_be_acted_on_where_both_signals_can_be_had() -> None:
    with pytest.raises(ConfigError, match="needs a witness"):
        Config.from_settings(["on_hang=restart"])
    with pytest.raises(ConfigError, match="probe_ui_thread"):
        Config.from_settings(["on_hang=restart", "witness=x11", "probe_ui_thread=false"])
    assert Config.from_settings(["on_hang=restart", "witness=x11"]).on_hang == "restart"


def test_a_configuration_is_frozen() -> None:
    config: Any = Config()
    with pytest.raises(AttributeError):
        config.pid_check = "off"
    with pytest.raises(AttributeError):
        config.limits.connections = 1


def test_every_setting_is_described_once() -> None:
    settings = describe()
    keys = [setting.key for setting in settings]
    assert len(keys) == len(set(keys))
    names = {name for name in Config.__struct_fields__ if name != "limits"}
    assert set(keys) == names | {f"limits.{name}" for name in Limits.__struct_fields__}
    assert all(setting.what and not setting.what.endswith(".") for setting in settings)


def test_what_is_described_can_be_given_back() -> None:
    assert Config.from_settings(f"{setting.key}={setting.default}" for setting in describe()) == Config()


def test_an_unknown_setting_is_told_all_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_settings(["speed=9"])
    assert all(setting.key in str(caught.value) for setting in describe())

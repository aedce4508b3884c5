"""Config and Limits: every setting and every limit with its default, frozen, read once and passed down.

A setting is given as `KEY=VALUE` (`serve --set`); a limit's key is `limits.NAME`, and the `limits.` may be left out.
`describe` gives the table that the documentation prints. Sizes are bytes, times seconds. Annotations are types and no
text, as in the schema.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, structs

from quarterdeck.errors import ConfigError
from quarterdeck.schema.types import EXITED_PROCESSES_MAX, OnHang

Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every limit (protocol, section 10). Each is checked before anything is stored."""

    connections: Annotated[Count, "connections at once; one more is told `too_many_connections`"] = 1_024
    connections_per_process: Annotated[
        Count, "of these, from one process, so that there is room for others; one more is told `too_many_connections`"
    ] = 512
    commands_per_second: Annotated[
        Annotated[int, Meta(ge=0)],
        "commands a second of one connection; who is faster is read more slowly; 0: no limit",
    ] = 0
    bytes_per_second: Annotated[
        Annotated[int, Meta(ge=0)], "bytes a second of one connection; who is faster is read more slowly; 0: no limit"
    ] = 0
    max_line_bytes: Annotated[
        Annotated[int, Meta(ge=256)], "longest line to the launcher, newline included; longer is `line_too_long`"
    ] = 1_048_576
    register_timeout: Annotated[Seconds, "seconds in which a new connection must register"] = 10.0
    bad_lines: Annotated[Count, "`invalid_command` or `line_too_long` in a row; the last one is fatal"] = 100
    payload_bytes: Annotated[Bytes, "a `publish` payload, encoded"] = 65_536
    status_bytes: Annotated[Bytes, "a `report_status` status, encoded"] = 16_384
    ring_events: Annotated[Count, "events held in memory"] = 65_536
    ring_bytes: Annotated[Bytes, "bytes of events held in memory"] = 67_108_864
    event_list_bytes: Annotated[Bytes, "an `event_list` stops here, but holds at least one event"] = 1_048_576
    write_buffer_bytes: Annotated[Bytes, "written ahead to one connection"] = 262_144
    replies: Annotated[Count, "replies that wait for one connection; then its commands are not read"] = 64
    reply_bytes: Annotated[Bytes, "bytes of replies that wait for one connection"] = 1_048_576
    linger_timeout: Annotated[Seconds, "seconds without progress in which a leaving connection is given up"] = 10.0
    shutdown_flush: Annotated[Seconds, "seconds for flushing every connection at shutdown"] = 1.0
    windows: Annotated[Count, "open windows"] = 4_096
    pool: Annotated[Count, "windows in the pool"] = 256
    backend_ids: Annotated[Count, "backend window ids"] = 4_096
    pending_handles: Annotated[Count, "handles that wait for their window; beyond, the oldest is forgotten"] = 1_024
    closed_handles: Annotated[Count, "handles of closed windows remembered; beyond, the oldest is forgotten"] = 1_024
    promotions: Annotated[Count, "promoted labels remembered until they open; beyond, the oldest is forgotten"] = 1_024
    sagas: Annotated[Count, "open sagas; one more fails as soon as it began"] = 1_024
    saga_deadline: Annotated[
        Seconds, "seconds in which a saga that does not say otherwise ends, and in which a step of it is undone"
    ] = 30.0
    saga_undo_steps: Annotated[Count, "steps that one saga may undo; of more none is undone"] = 64
    saga_commands: Annotated[Count, "commands of slices that sagas issue by one input; more are refused"] = 1_024
    rounds: Annotated[
        Count, "rounds in which slices and sagas set each other off by one input; beyond, those that still do are ended"
    ] = 64
    slices: Annotated[Count, "slices of the application's; more are refused at the start"] = 16
    slice_state_bytes: Annotated[Bytes, "the state of one slice, encoded"] = 1_048_576
    slice_event_bytes: Annotated[Bytes, "one event of a slice, encoded"] = 65_536
    slice_events: Annotated[Count, "events that a slice tells by one command, event or tick"] = 1_024
    probe_interval: Annotated[
        Annotated[float, Meta(ge=0.05, le=31_536_000)],
        "seconds from one probe of the host's user interface thread to the next; unanswered by then is a miss",
    ] = 30.0
    probe_misses: Annotated[Count, "misses in a row that are told as `host_unresponsive`"] = 3
    journal_bytes: Annotated[Bytes, "the journal's file; beyond, the oldest steps are dropped"] = 536_870_912
    journal_days: Annotated[Annotated[float, Meta(gt=0)], "days that the journal keeps; older steps are dropped"] = 30.0
    journal_waiting_bytes: Annotated[
        Bytes, "kept in memory while the journal fails; beyond, steps are lost, and the hole is marked"
    ] = 16_777_216
    launcher_log_bytes: Annotated[
        Bytes, "`launcher.log` of `up -d`; beyond, it is moved to `launcher.log.1`, and begun anew"
    ] = 1_048_576
    metrics_connections: Annotated[Count, "requests for `/metrics` at once; one more is cut off"] = 16
    metrics_request_bytes: Annotated[Bytes, "the head of such a request"] = 8_192
    metrics_timeout: Annotated[Seconds, "seconds that such a request and its answer may take together"] = 5.0
    exited_processes: Annotated[Annotated[int, Meta(ge=0)], "exited process records kept, the latest exits"] = (
        EXITED_PROCESSES_MAX
    )


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting of a launcher."""

    pid_check: Annotated[
        Literal["on", "off"],
        "a claimed pid must be the peer's process or its descendant; `off` for containers, load tests",
    ] = "on"
    folder_check: Annotated[
        Literal["on", "off"],
        "nobody else may write in the data folder, or exchange it or the socket's; `off` for a container whose volumes "
        "everybody may write, and whose only user you are",
    ] = "on"
    roles: Annotated[Literal["claimed", "proven"], "`proven`: only the launcher's own child may register as `host`"] = (
        "claimed"
    )
    loop: Annotated[Literal["auto", "asyncio", "uvloop"], "event loop; `auto` takes uvloop where it is installed"] = (
        "auto"
    )
    witness: Annotated[
        Literal["none", "x11", "win32"],
        "who watches the real windows, beside what the host reports; `win32` is not yet run",
    ] = "none"
    correct: Annotated[bool, "the witness carries out corrective moves itself"] = False
    probe_ui_thread: Annotated[bool, "ask the host again and again whether its user interface thread answers"] = True
    on_hang: Annotated[
        OnHang,
        "what is done about a host that does not answer, beside telling it; `restart` the child that it is, where it "
        "has answered before and the window system finds it hung, too",
    ] = "observe"
    journal: Annotated[
        Literal["off", "normal", "full"],
        "keep inputs and events on disk: `normal` survives a crash of the launcher, `full` also of the machine",
    ] = "normal"
    builtin_sagas: Annotated[
        bool, "have the host respawn its pool and clean up after windows; `false` for one that does so unasked"
    ] = True
    metrics_port: Annotated[
        Annotated[int, Meta(ge=0, le=65_535)], "port of 127.0.0.1 at which `/metrics` is served; 0: it is not"
    ] = 0
    metrics_token: Annotated[
        Literal["required", "none"],
        "whether `/metrics` asks for the token in `metrics.token` of the data folder; `none`: every user of this "
        "machine may read",
    ] = "required"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], "least severe log line written to stderr"] = (
        "info"
    )
    log_format: Annotated[Literal["text", "json"], "how log lines are written"] = "text"
    limits: Annotated[Limits, "the table of limits"] = Limits()

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other. Raises: ConfigError."""
        if self.roles == "proven" and self.pid_check == "off":
            raise ConfigError("roles=proven needs pid_check=on: a role is proven by the pid that the kernel tells")
        if self.on_hang == "restart" and not self.probe_ui_thread:
            raise ConfigError("on_hang=restart needs probe_ui_thread=true: a host that nobody asks is never found hung")
        if self.correct and self.witness == "none":
            raise ConfigError(
                "correct=true needs a witness, who moves the windows (witness=x11); without one the host is told "
                "corrective_window_move and does it itself"
            )
        if self.on_hang == "restart" and self.witness == "none":
            raise ConfigError("on_hang=restart needs a witness: only the window system can confirm that a host hangs")

    @classmethod
    def from_settings(cls, settings: Iterable[str], base: Self | None = None) -> Self:
        """A configuration from `KEY=VALUE` texts over another one (none: the defaults); the last one of a key counts.

        Raises: ConfigError naming the key and what was expected.
        """
        values: dict[str, Any] = {}
        limits: dict[str, Any] = {}
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals:
                raise ConfigError(f"--set {setting}: expected KEY=VALUE")
            name = key.strip().removeprefix("limits.")
            if name in Limits.__struct_fields__:
                limits[name] = _parsed(Limits, name, f"limits.{name}", text.strip())
            elif key.strip() in Config.__struct_fields__ and key.strip() != "limits":
                values[key.strip()] = _parsed(Config, key.strip(), key.strip(), text.strip())
            else:
                raise ConfigError(f"--set {key.strip()}: no such setting; there are {', '.join(_keys())}")
        over = cls() if base is None else base
        return structs.replace(over, **values, limits=structs.replace(over.limits, **limits))


class Setting(Struct, frozen=True):
    """One line of the table of settings."""

    key: str
    default: str
    what: str


def describe() -> list[Setting]:
    """Every setting and limit with its default and what it does, in the order of definition."""
    return [*_described(Config, ""), *_described(Limits, "limits.")]


def values_of(config: Config) -> dict[str, Any]:
    """Every setting and limit of a configuration by its key, in the order of definition."""
    values = structs.asdict(config)
    limits: Limits = values.pop("limits")
    return values | {f"limits.{name}": value for name, value in structs.asdict(limits).items()}


def _keys() -> list[str]:
    return [setting.key for setting in describe()]


def _described(kind: type[Struct], prefix: str) -> list[Setting]:
    defaults = kind()
    hints = get_type_hints(kind, include_extras=True)
    return [
        Setting(prefix + name, str(getattr(defaults, name)), _what(hints[name]))
        for name in kind.__struct_fields__
        if name != "limits"
    ]


def _what(hint: Any) -> str:
    """The words in a member's `Annotated`."""
    assert get_origin(hint) is Annotated
    return next(part for part in get_args(hint)[1:] if isinstance(part, str))


def _parsed(kind: type[Struct], name: str, key: str, text: str) -> Any:
    hint = get_type_hints(kind, include_extras=True)[name]
    try:
        return msgspec.convert(text, hint, strict=False)
    except msgspec.ValidationError as error:
        allowed = get_args(get_args(hint)[0]) if get_origin(get_args(hint)[0]) is Literal else ()
        expected = f"expected one of {', '.join(map(str, allowed))}" if allowed else str(error)
        raise ConfigError(f"--set {key}={text}: {expected[:1].lower()}{expected[1:]}") from error
    except UnicodeEncodeError:  # a shell passes on any bytes
        raise ConfigError(f"--set {key}={text}: expected UTF-8 text") from None

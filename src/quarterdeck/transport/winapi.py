"""What pipe.py needs of Windows itself, through ctypes. Written and type-checked, not yet run.

Rules:
- Every function is bound with its types: the default ones cut 64-bit handles in half.
- Nothing is loaded at import time; on another platform the first call raises Unsupported.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from ctypes import byref
from typing import Any

from quarterdeck.errors import Unsupported

_ERROR_INSUFFICIENT_BUFFER = 122
_PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
_TOKEN_QUERY = 0x0008
_TOKEN_USER = 1


class Overlapped(ctypes.Structure):
    """OVERLAPPED of minwinbase.h."""

    _fields_ = (
        ("Internal", ctypes.c_void_p),
        ("InternalHigh", ctypes.c_void_p),
        ("Offset", ctypes.c_uint32),
        ("OffsetHigh", ctypes.c_uint32),
        ("hEvent", ctypes.c_void_p),
    )


class SecurityAttributes(ctypes.Structure):
    """SECURITY_ATTRIBUTES of minwinbase.h, for the length of a `with` block, from an access list in SDDL."""

    _fields_ = (
        ("nLength", ctypes.c_uint32),
        ("lpSecurityDescriptor", ctypes.c_void_p),
        ("bInheritHandle", ctypes.c_int32),
    )

    def __init__(self, sddl: str) -> None:
        super().__init__(nLength=ctypes.sizeof(SecurityAttributes), bInheritHandle=0)
        descriptor = ctypes.c_void_p()
        if not advapi32().ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl, 1, byref(descriptor), None):
            raise os_error(last_error())
        self.lpSecurityDescriptor = descriptor.value

    def __enter__(self) -> SecurityAttributes:
        return self

    def __exit__(self, *_: object) -> None:
        kernel32().LocalFree(self.lpSecurityDescriptor)


def sid_of_process(pid: int | None) -> str:
    """Return the user's security identifier of a process, None for our own. Raises OSError."""
    kernel, security = kernel32(), advapi32()
    own = pid is None
    process = kernel.GetCurrentProcess() if own else kernel.OpenProcess(_PROCESS_QUERY_LIMITED_INFORMATION, 0, pid)
    if not process:
        raise os_error(last_error())
    token = ctypes.c_void_p()
    try:
        if not security.OpenProcessToken(process, _TOKEN_QUERY, byref(token)):
            raise os_error(last_error())
        try:
            return _sid_of_token(token)
        finally:
            kernel.CloseHandle(token)
    finally:
        if not own:  # our own handle is a constant, not an open one
            kernel.CloseHandle(process)


def _sid_of_token(token: ctypes.c_void_p) -> str:
    security = advapi32()
    size = ctypes.c_uint32()
    security.GetTokenInformation(token, _TOKEN_USER, None, 0, byref(size))
    if last_error() != _ERROR_INSUFFICIENT_BUFFER:
        raise os_error(last_error())
    user = ctypes.create_string_buffer(size.value)
    if not security.GetTokenInformation(token, _TOKEN_USER, user, size, byref(size)):
        raise os_error(last_error())
    # TOKEN_USER begins with a pointer to the identifier, which lies in the same buffer.
    sid = ctypes.c_void_p.from_buffer(user)
    text = ctypes.c_wchar_p()
    if not security.ConvertSidToStringSidW(sid, byref(text)):
        raise os_error(last_error())
    try:
        return str(text.value)
    finally:
        kernel32().LocalFree(ctypes.cast(text, ctypes.c_void_p))


def last_error() -> int:
    """Return the error code of this thread's last failed call."""
    if sys.platform == "win32":
        return ctypes.get_last_error()
    raise Unsupported("named pipes need Windows")


def os_error(code: int) -> OSError:
    """Return the exception for an error code, with the system's own words."""
    if sys.platform == "win32":
        return ctypes.WinError(code)
    raise Unsupported("named pipes need Windows")


def pipe_handle(handle: int) -> Any:
    """Wrap a handle as asyncio's proactor expects it."""
    if sys.platform == "win32":
        from asyncio.windows_utils import PipeHandle

        return PipeHandle(handle)
    raise Unsupported("named pipes need Windows")


@functools.cache  # a binding, not state: the same functions with the types that 64-bit handles need
def kernel32() -> Any:
    """Return the functions of kernel32.dll that we use. Raises Unsupported on another platform."""
    handle, pointer, number = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32
    text, flag = ctypes.c_wchar_p, ctypes.c_int32
    return _bind(
        "kernel32",
        {
            "CancelIoEx": (flag, handle, pointer),
            "CloseHandle": (flag, handle),
            "CreateEventW": (handle, pointer, flag, flag, text),
            "CreateFileW": (handle, text, number, number, pointer, number, number, handle),
            "CreateNamedPipeW": (handle, text, number, number, number, number, number, number, pointer),
            "GetCurrentProcess": (handle,),
            "GetNamedPipeClientProcessId": (flag, handle, pointer),
            "GetNamedPipeServerProcessId": (flag, handle, pointer),
            "GetOverlappedResult": (flag, handle, pointer, pointer, flag),
            "LocalFree": (handle, pointer),
            "OpenProcess": (handle, number, flag, number),
            "PeekNamedPipe": (flag, handle, pointer, number, pointer, pointer, pointer),
            "ReadFile": (flag, handle, pointer, number, pointer, pointer),
            "WaitForSingleObject": (number, handle, number),
            "WriteFile": (flag, handle, pointer, number, pointer, pointer),
        },
    )


@functools.cache
def advapi32() -> Any:
    """Return the functions of advapi32.dll that we use. Raises Unsupported on another platform."""
    handle, pointer, number = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32
    text, flag = ctypes.c_wchar_p, ctypes.c_int32
    return _bind(
        "advapi32",
        {
            "ConvertSidToStringSidW": (flag, pointer, pointer),
            "ConvertStringSecurityDescriptorToSecurityDescriptorW": (flag, text, number, pointer, pointer),
            "GetTokenInformation": (flag, handle, number, pointer, number, pointer),
            "OpenProcessToken": (flag, handle, number, pointer),
        },
    )


def _bind(library: str, signatures: dict[str, tuple[Any, ...]]) -> Any:
    """Load a library and give its functions their types: the result's first, then the arguments'."""
    if sys.platform == "win32":
        functions = ctypes.WinDLL(library, use_last_error=True)
        for name, (result, *arguments) in signatures.items():
            function = getattr(functions, name)
            function.restype, function.argtypes = result, arguments
        return functions
    raise Unsupported("named pipes need Windows")

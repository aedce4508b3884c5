"""What job.py needs of Windows itself, through ctypes. Written and type-checked, not yet run.

Rules:
- Every function is bound with its types: the default ones cut 64-bit handles in half.
- Nothing is loaded at import time; on another platform `JobCalls()` raises Unsupported.
- A process is in its job before its first instruction, so that nothing it starts is outside. (Killed between the two
  calls that it takes, we leave one process that never runs.)
- The job's only handle is ours and is not inherited: when this process ends, however it does, the system closes it and
  kills the job.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import byref
from typing import Any, Final

from quarterdeck.errors import Unsupported

LIMIT_JOB_MEMORY: Final = 0x0200
LIMIT_KILL_ON_JOB_CLOSE: Final = 0x2000
CREATION_FLAGS: Final = 0x0004 | 0x0200 | 0x0400
"""CREATE_SUSPENDED, CREATE_NEW_PROCESS_GROUP, CREATE_UNICODE_ENVIRONMENT."""
KILLED_CODE: Final = 137
"""The exit code that we give whom we kill, as shells count it."""
MEMBERS_MAX: Final = 256
"""So many processes of a job are told; where there are more, these are the first."""

_BASIC_PROCESS_ID_LIST: Final = 3
_EXTENDED_LIMIT_INFORMATION: Final = 9
_CTRL_BREAK_EVENT: Final = 1
_ERROR_MORE_DATA: Final = 234
_STARTF_USESTDHANDLES: Final = 0x0100
_INFINITE: Final = 0xFFFFFFFF
_FAILED: Final = 0xFFFFFFFF

_NUMBER = ctypes.c_uint32
_SIZE = ctypes.c_size_t


class _BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION of winnt.h."""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", _NUMBER),
        ("MinimumWorkingSetSize", _SIZE),
        ("MaximumWorkingSetSize", _SIZE),
        ("ActiveProcessLimit", _NUMBER),
        ("Affinity", _SIZE),
        ("PriorityClass", _NUMBER),
        ("SchedulingClass", _NUMBER),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION of winnt.h; `IoInfo` is IO_COUNTERS, six counts that we leave alone."""

    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", _SIZE),
        ("JobMemoryLimit", _SIZE),
        ("PeakProcessMemoryUsed", _SIZE),
        ("PeakJobMemoryUsed", _SIZE),
    )


class ProcessIds(ctypes.Structure):
    """JOBOBJECT_BASIC_PROCESS_ID_LIST of winnt.h, with room for MEMBERS_MAX."""

    _fields_ = (
        ("NumberOfAssignedProcesses", _NUMBER),
        ("NumberOfProcessIdsInList", _NUMBER),
        ("ProcessIdList", _SIZE * MEMBERS_MAX),
    )


class StartupInfo(ctypes.Structure):
    """STARTUPINFOW of processthreadsapi.h."""

    _fields_ = (
        ("cb", _NUMBER),
        *((name, ctypes.c_void_p) for name in ("lpReserved", "lpDesktop", "lpTitle")),
        *((name, _NUMBER) for name in ("dwX", "dwY", "dwXSize", "dwYSize", "dwXCountChars", "dwYCountChars")),
        *((name, _NUMBER) for name in ("dwFillAttribute", "dwFlags")),
        *((name, ctypes.c_uint16) for name in ("wShowWindow", "cbReserved2")),
        *((name, ctypes.c_void_p) for name in ("lpReserved2", "hStdInput", "hStdOutput", "hStdError")),
    )


class ProcessInformation(ctypes.Structure):
    """PROCESS_INFORMATION of processthreadsapi.h."""

    _fields_ = (
        ("hProcess", ctypes.c_void_p),
        ("hThread", ctypes.c_void_p),
        ("dwProcessId", _NUMBER),
        ("dwThreadId", _NUMBER),
    )


def limits_for(memory_max: int | None) -> ExtendedLimits:
    """Return the limits of a child's job: it ends with its handle; `memory_max` bytes are for all of it together."""
    limits = ExtendedLimits()
    limits.BasicLimitInformation.LimitFlags = LIMIT_KILL_ON_JOB_CLOSE
    if memory_max is not None:
        limits.BasicLimitInformation.LimitFlags |= LIMIT_JOB_MEMORY
        limits.JobMemoryLimit = memory_max
    return limits


class JobProcess:
    """A process and its job; any thread may call, until `close`."""

    def __init__(self, kernel: Any, job: int, made: ProcessInformation) -> None:
        self.pid: int = made.dwProcessId
        self._kernel = kernel
        self._job: int = job
        self._process: int = made.hProcess
        self._thread: int = made.hThread

    def resume(self) -> None:
        """Let its program begin. Raises OSError."""
        if self._kernel.ResumeThread(self._thread) == _FAILED:
            raise _last_error()

    def ask_to_end(self) -> None:
        """Send its group Ctrl-Break, which all hear that have our console. Raises OSError where we have none."""
        _check(self._kernel.GenerateConsoleCtrlEvent(_CTRL_BREAK_EVENT, self.pid))

    def kill(self) -> None:
        """End all that is in the job. Raises OSError."""
        _check(self._kernel.TerminateJobObject(self._job, KILLED_CODE))

    def wait(self) -> int:
        """Block until its first process has ended, and return the exit code. Raises OSError."""
        if self._kernel.WaitForSingleObject(self._process, _INFINITE) == _FAILED:
            raise _last_error()
        code = _NUMBER()
        _check(self._kernel.GetExitCodeProcess(self._process, byref(code)))
        return code.value

    def members(self) -> list[int]:
        """Return who lives in the job, MEMBERS_MAX at most, its first process excepted. Raises OSError."""
        ids = ProcessIds()
        size = ctypes.sizeof(ids)
        if not self._kernel.QueryInformationJobObject(self._job, _BASIC_PROCESS_ID_LIST, byref(ids), size, None):
            error = _last_error()
            if getattr(error, "winerror", None) != _ERROR_MORE_DATA:
                raise error
        return [pid for pid in ids.ProcessIdList[: ids.NumberOfProcessIdsInList] if pid != self.pid]

    def close(self) -> None:
        """Close the handles: whoever is left in the job is killed."""
        for handle in (self._thread, self._process, self._job):
            self._kernel.CloseHandle(handle)


class JobCalls:
    """What makes processes; its methods are called from one thread. Raises Unsupported elsewhere than on Windows."""

    def __init__(self) -> None:
        self._kernel = _kernel32()

    def start(
        self, program: str, command_line: str, env: str, cwd: str, memory_max: int | None, fds: tuple[int, int, int]
    ) -> JobProcess:
        """Make a process, suspended, alone in its job, with these three as its streams. Raises OSError.

        The streams can be inherited only meanwhile, so that no other child gets them: all are made by this thread.
        """
        kernel = self._kernel
        job = kernel.CreateJobObjectW(None, None)
        if not job:
            raise _last_error()
        made = ProcessInformation()
        try:
            limits = limits_for(memory_max)
            size = ctypes.sizeof(limits)
            _check(kernel.SetInformationJobObject(job, _EXTENDED_LIMIT_INFORMATION, byref(limits), size))
            self._create(program, command_line, env, cwd, fds, made)
            _check(kernel.AssignProcessToJobObject(job, made.hProcess))
        except BaseException:
            if made.hProcess:  # it has not run, and nobody else would end it
                kernel.TerminateProcess(made.hProcess, KILLED_CODE)
                kernel.CloseHandle(made.hThread)
                kernel.CloseHandle(made.hProcess)
            kernel.CloseHandle(job)
            raise
        return JobProcess(kernel, job, made)

    def _create(
        self, program: str, command_line: str, env: str, cwd: str, fds: tuple[int, ...], made: ProcessInformation
    ) -> None:
        handles = [_handle_of(fd) for fd in fds]
        startup = StartupInfo(cb=ctypes.sizeof(StartupInfo), dwFlags=_STARTF_USESTDHANDLES)
        startup.hStdInput, startup.hStdOutput, startup.hStdError = handles
        line = ctypes.create_unicode_buffer(command_line)  # CreateProcessW writes into it
        block = ctypes.create_unicode_buffer(env)
        _let_inherit(handles, True)
        try:
            _check(
                self._kernel.CreateProcessW(
                    program, line, None, None, 1, CREATION_FLAGS, block, cwd, byref(startup), byref(made)
                )
            )
        finally:
            _let_inherit(handles, False)


def _handle_of(fd: int) -> int:
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.get_osfhandle(fd)
    raise _elsewhere()


def _let_inherit(handles: list[int], inheritable: bool) -> None:
    if sys.platform == "win32":
        for handle in handles:
            os.set_handle_inheritable(handle, inheritable)


def _check(succeeded: int) -> None:
    if not succeeded:
        raise _last_error()


def _last_error() -> OSError:
    """Return the exception for this thread's last failed call, with the system's own words."""
    if sys.platform == "win32":
        return ctypes.WinError(ctypes.get_last_error())
    raise _elsewhere()


def _kernel32() -> Any:
    """Return the functions of kernel32.dll that we use: the result's type first, then the arguments'."""
    handle, pointer, number = ctypes.c_void_p, ctypes.c_void_p, _NUMBER
    text, flag = ctypes.c_wchar_p, ctypes.c_int32
    if sys.platform == "win32":
        signatures: dict[str, tuple[Any, ...]] = {
            "AssignProcessToJobObject": (flag, handle, handle),
            "CloseHandle": (flag, handle),
            "CreateJobObjectW": (handle, pointer, text),
            "CreateProcessW": (flag, text, pointer, pointer, pointer, flag, number, pointer, text, pointer, pointer),
            "GenerateConsoleCtrlEvent": (flag, number, number),
            "GetExitCodeProcess": (flag, handle, pointer),
            "QueryInformationJobObject": (flag, handle, flag, pointer, number, pointer),
            "ResumeThread": (number, handle),
            "SetInformationJobObject": (flag, handle, flag, pointer, number),
            "TerminateJobObject": (flag, handle, number),
            "TerminateProcess": (flag, handle, number),
            "WaitForSingleObject": (number, handle, number),
        }
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        for name, (result, *arguments) in signatures.items():
            function = getattr(kernel, name)
            function.restype, function.argtypes = result, arguments
        return kernel
    raise _elsewhere()


def _elsewhere() -> Unsupported:
    return Unsupported(f"job objects are of Windows, and this is {sys.platform}: there the guard has the children")

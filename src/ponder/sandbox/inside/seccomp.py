"""Which system calls a run may make: a list of what is allowed, as a classic BPF program.

Everything that is not on the list fails with EPERM (a Python exception in the program, or a wrong
answer), and a call by another architecture's numbers (x32, i386) kills the process with SIGSYS.
An allow list, not a deny list: a call that a later kernel brings is denied from its first day.
"""

from __future__ import annotations

import struct
from functools import cache

from .syscalls import MACHINE, audit_arch, number

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000

_HARMLESS = """
read write readv writev pread64 preadv close fstat newfstatat stat lstat statx lseek
access faccessat faccessat2 getdents64 getcwd readlink readlinkat fadvise64
mmap munmap mprotect mremap madvise brk arch_prctl
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack
pause alarm setitimer getitimer restart_syscall
pipe pipe2 dup dup2 dup3 poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait
eventfd2 recvfrom shutdown
getpid gettid getppid getuid geteuid getgid getegid getpgrp getpgid getsid getgroups uname sysinfo
times getrusage getrlimit setrlimit
clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrandom
close_range futex set_robust_list get_robust_list set_tid_address rseq sched_yield
sched_getaffinity membarrier
getcpu exit exit_group
"""

# What the zygote needs on top, and a program must not do.
_ZYGOTE = """
clone fork vfork wait4 kill tgkill pidfd_open sendmsg recvmsg prctl execveat openat open
"""

# What a compiler needs on top, under Landlock rules that let it write in one folder only.
_TOOLS = """
open openat fork vfork execve wait4 waitid unlink unlinkat rename renameat renameat2 mkdir mkdirat
rmdir chmod fchmod fchmodat truncate ftruncate umask chdir fchdir utimensat creat pwrite64 fallocate
mincore fsync statfs fstatfs prlimit64 sendfile copy_file_range
"""

# terminal attributes and size, close-on-exec, non-blocking, bytes waiting
_IOCTLS = (0x5401, 0x5413, 0x5450, 0x5451, 0x5421, 0x541B)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ
_FCNTLS = (0, 1, 2, 3, 4, 1030, 1032)
_PR_SET_NAME, _PR_GET_NAME = 15, 16
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE
_CLONE_THREAD = 0x10000
_NEW_NAMESPACE = 0x7E020080
_AT_EMPTY_PATH = 0x1000


Test = tuple[int, bool, str, tuple[int, ...]]  # argument, its high word, kind of test, values


def zygote_filter() -> bytes:
    """For the zygote, and so for all it forks: the list, and what it needs to fork and watch."""
    return _start() + b"".join(_rule(name) for name in _ZYGOTE.split()) + _common() + _end()


def program_filter(pid: int, binary: int | None = None) -> bytes:
    """On top of the zygote's, in process ``pid``: what a program must not do of that list.

    Both filters are asked, and the stricter answer counts; this one is short because the kernel
    compiles it for every run. A compiled program may be executed, once, from descriptor
    ``binary``: it closes as it is executed, and a program has no way to put another executable
    under its number, for it can write no file, and Landlock lets it execute none.
    """
    own = _rule("kill", _one_of(0, pid)) + _rule("tgkill", _one_of(0, pid))
    if binary is not None:
        own += _rule("execveat", _one_of(0, binary), _one_of(4, _AT_EMPTY_PATH))
    return _start() + own + _denials()


def compiler_filter() -> bytes:
    """For a compiler: also files, processes and exec, within what Landlock leaves of them."""
    return _start() + _compiling() + _end()


@cache
def _denials() -> bytes:
    forbidden = set(_ZYGOTE.split()) - {"clone", "openat", "open"}
    rules = [_rule(name, verdict=_ERRNO | _EPERM) for name in sorted(forbidden)]
    rules += [
        _rule("openat", _no_bit(2, _WRITING)),
        _rule("open", _no_bit(1, _WRITING)),
        _rule("clone", _any_bit(0, _CLONE_THREAD), _no_bit(0, _NEW_NAMESPACE)),
    ]
    return b"".join(rules) + _instruction(_RETURN, _ALLOW)


@cache
def _compiling() -> bytes:
    tools = b"".join(_rule(name) for name in _TOOLS.split())
    return _rule("clone", _no_bit(0, _NEW_NAMESPACE)) + tools + _common()


@cache
def _common() -> bytes:
    # sendto and socketpair: an event loop wakes itself by a pair. With no address there is no
    # way from it to any other socket.
    return b"".join(
        [
            *(_rule(name) for name in _HARMLESS.split()),
            _rule("ioctl", _one_of(1, *_IOCTLS)),
            _rule("fcntl", _one_of(1, *_FCNTLS)),
            _rule("prctl", _one_of(0, _PR_SET_NAME, _PR_GET_NAME)),
            _rule("prlimit64", _one_of(0, 0)),  # of this process; a hard limit stays a limit
            _rule("socketpair", _one_of(0, 1)),
            _rule("sendto", _one_of(4, 0), _one_of(4, 0, high=True)),
            # absent, not forbidden: libraries then fall back to calls that can be looked into
            _rule("clone3", verdict=_ERRNO | _ENOSYS),
            _rule("openat2", verdict=_ERRNO | _ENOSYS),
        ]
    )


def _one_of(argument: int, *values: int, high: bool = False) -> Test:
    return argument, high, "equal", values


def _no_bit(argument: int, mask: int) -> Test:
    return argument, False, "none", (mask,)


def _any_bit(argument: int, mask: int) -> Test:
    return argument, False, "any", (mask,)


def _rule(name: str, *tests: Test, verdict: int = _ALLOW) -> bytes:
    """``verdict`` for the call if all tests hold, EPERM if one does not."""
    found = number(name)
    if found is None:
        return b""
    body = b"".join(_test(*test) for test in tests) + _instruction(_RETURN, verdict)
    return _instruction(_EQUAL, found, 0, len(body) // 8) + body


def _test(argument: int, high: bool, kind: str, values: tuple[int, ...]) -> bytes:
    load = _instruction(_LOAD, _ARGUMENTS + 8 * argument + 4 * high)
    if kind == "equal":
        last = len(values)
        compare = b"".join(_instruction(_EQUAL, v, last - i) for i, v in enumerate(values))
    elif kind == "none":
        compare = _instruction(_ANY_BIT, values[0], 0, 1)
    else:
        compare = _instruction(_ANY_BIT, values[0], 1, 0)
    return load + compare + _instruction(_RETURN, _ERRNO | _EPERM)


@cache
def _start() -> bytes:
    """Kill what is not of this architecture, then load the number of the call."""
    code = _instruction(_LOAD, _ARCH) + _instruction(_EQUAL, audit_arch(), 1)
    code += _instruction(_RETURN, _KILL) + _instruction(_LOAD, _NR)
    if MACHINE == "x86_64":
        code += _instruction(_AT_LEAST, _X32, 0, 1) + _instruction(_RETURN, _KILL)
    return code


def _end() -> bytes:
    return _instruction(_RETURN, _ERRNO | _EPERM)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)

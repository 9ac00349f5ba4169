"""Escapes, snooping and persistence: each must be told no."""

from __future__ import annotations

from tests.sandbox.attacks.attack import MARK, SECRET_FILE, Attack, probe

_TRAPPED = ("refused", "crashed")

_READ = tuple(
    probe(f"read {name}", "snoop", body)
    for name, body in {
        "the tests by their path": f"return open({SECRET_FILE!r}).read()",
        "/etc/passwd": "return open('/etc/passwd').read()[:20]",
        "/etc/shadow": "return open('/etc/shadow').read()[:20]",
        "folders": """
            return first(*[lambda p=p: os.listdir(p) for p in
                           ('/', '/root', '/home', '/tmp', '/etc', '/work', '/var', '/dev')])
        """,
        "the working folder": """
            return first(lambda: os.listdir('.'), lambda: open('pyproject.toml').read(9),
                         lambda: os.listdir('tests'))
        """,
        "the parent's memory": """
            return first(*[lambda n=n: open(f'/proc/{os.getppid()}/{n}', 'rb').read(9)
                           for n in ('mem', 'maps', 'environ', 'cmdline', 'status', 'stack')])
        """,
        "other processes": """
            return first(lambda: [p for p in os.listdir('/proc') if p.isdigit()],
                         lambda: open('/proc/1/cmdline').read(),
                         lambda: open('/proc/self/environ').read(),
                         lambda: open('/proc/self/mem', 'rb').read(1))
        """,
        "what the parent has open": """
            parent = f'/proc/{os.getppid()}/fd'
            return first(lambda: os.listdir(parent), lambda: os.readlink(parent + '/0'),
                         lambda: os.listdir('/proc/self/fd'))
        """,
        "secrets of the environment": """
            words = ('KEY', 'TOKEN', 'SECRET', 'PASSWORD', 'PYTEST', 'HOME')
            return [n for n in os.environ if any(w in n.upper() for w in words)] or None
        """,
        "kernel logs and symbols": """
            return first(lambda: open('/proc/kallsyms').read(9), lambda: open('/dev/kmsg').read(9),
                         lambda: syscall(103, 3, 0, 0))
        """,
    }.items()
)

_INHERITED = probe(
    "inherited descriptors",
    "snoop",
    """
    found = []
    for number in range(3, 256):
        try:
            size = os.fstat(number).st_size
        except OSError:
            continue
        try:
            data = os.pread(number, 1 << 16, 0)
        except OSError:
            data = b''
        if data and b'import' not in data:
            found.append((number, size, data[:50]))
    return found or None
    """,
)

_WRITE = tuple(
    probe(f"write: {name}", "persist", body)
    for name, body in {
        "files anywhere": f"""
            places = ('/tmp', '/dev/shm', '/var/tmp', '/root', '.', '/run', '/etc', '/home',
                      os.path.dirname(os.__file__), '/proc/self', '/dev/mqueue', '/usr/local/bin')
            return first(*[lambda p=p: open(p + '/{MARK}_file', 'w') for p in places])
        """,
        "the standard library": """
            return first(lambda: open(os.__file__, 'r+'), lambda: open(os.__file__, 'a'),
                         lambda: os.chmod(os.__file__, 0o644), lambda: os.utime(os.__file__),
                         lambda: os.open(os.path.dirname(os.__file__), os.O_TMPFILE | os.O_RDWR))
        """,
        "chmod and chown of the standard library": """
            return first(lambda: os.chmod(os.__file__, 0o644) or 1,
                         lambda: os.chown(os.__file__, os.getuid(), -1) or 1,
                         lambda: os.utime(os.__file__) or 1,
                         lambda: os.setxattr(os.__file__, 'user.a', b'b') or 1)
        """,
        "kernel settings": """
            names = ('kernel/core_pattern', 'kernel/panic', 'vm/overcommit_memory')
            return first(*[lambda n=n: os.open('/proc/sys/' + n, os.O_WRONLY) for n in names],
                         lambda: os.open('/proc/self/oom_score_adj', os.O_WRONLY),
                         lambda: os.open('/proc/sysrq-trigger', os.O_WRONLY),
                         lambda: os.open('/sys/fs/cgroup/cgroup.procs', os.O_WRONLY))
        """,
        "symbolic link": f"return first(lambda: os.symlink('/etc', '/tmp/{MARK}_link') or 1)",
        "hard link": f"return first(lambda: os.link(os.__file__, '/tmp/{MARK}_hard') or 1)",
        "named pipe": f"return first(lambda: os.mkfifo('/tmp/{MARK}_fifo') or 1)",
        "device": f"return first(lambda: os.mknod('/tmp/{MARK}_node', 0o20666, 0x103) or 1)",
        "folder": f"return first(lambda: os.mkdir('/tmp/{MARK}_dir') or 1)",
        "delete, move, truncate": f"""
            return first(lambda: os.remove({SECRET_FILE!r}) or 1,
                         lambda: os.rename({SECRET_FILE!r}, '/tmp/{MARK}_moved') or 1,
                         lambda: os.truncate({SECRET_FILE!r}, 0) or 1)
        """,
        "shared memory": f"""
            from multiprocessing import shared_memory
            return first(lambda: shared_memory.SharedMemory('{MARK}', True, 99).size)
        """,
        "System V and POSIX queues": "return first(*[lambda n=n: syscall(n, 0x504f, 64, 0o1600)"
        " for n in (29, 64, 68, 240)])",
        "unnamed files": "return first(lambda: os.memfd_create('a'), lambda: syscall(447, 0))",
        "user site packages": f"""
            import site
            return first(lambda: os.makedirs(site.getusersitepackages()) or 1,
                         lambda: open(os.path.expanduser('~/.{MARK}'), 'w'))
        """,
        "another working folder": "return first(lambda: os.chdir('/tmp') or os.listdir('.'),"
        " lambda: os.chroot('/tmp') or 1, lambda: os.fchdir(os.open('/', os.O_RDONLY)) or 1)",
    }.items()
)

_PROCESSES = tuple(
    probe(f"process: {name}", "escape", body, *_TRAPPED)
    for name, body in {
        "a shell": """
            import subprocess
            return first(lambda: subprocess.run(['/bin/sh', '-c', 'echo hi']).returncode + 1,
                         lambda: os.posix_spawn('/bin/true', ['true'], {}),
                         lambda: os.system('true') == 0 or None,
                         lambda: os.popen('echo hi').read() or None)
        """,
        "exec": "os.execv('/bin/echo', ['echo', 'ESCAPED'])",
        "exec of an open file": """
            binary = os.open(sys.executable, os.O_RDONLY)
            return first(lambda: syscall(322, binary, 0, 0, 0, 0x1000))
        """,
        "fork and a daemon": f"""
            import time
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(2)
                    open('/tmp/{MARK}_daemon', 'w')
                os._exit(0)
            return 'forked'
        """,
        "clone and vfork": "return first(lambda: syscall(56, 17, 0, 0, 0, 0), lambda: syscall(58))",
        "multiprocessing": """
            import multiprocessing
            return multiprocessing.get_context('fork').Pool(2).map(abs, [-1])
        """,
        "signals to others": """
            return first(*[lambda p=p: (p, os.kill(p, 0)) for p in (os.getppid(), 1, -1)],
                         lambda: os.killpg(0, 0) or 1, lambda: syscall(234, os.getppid(),
                                                                       os.getppid(), 0),
                         lambda: os.pidfd_open(os.getppid()))
        """,
        "ptrace": "return first(lambda: syscall(101, 16, os.getppid(), 0, 0),"
        " lambda: syscall(101, 0, 0, 0, 0))",
        "the parent's memory by call": """
            import ctypes
            here = ctypes.create_string_buffer(64)
            there = (ctypes.c_long * 2)(ctypes.addressof(here), 8)
            at = ctypes.addressof(there)
            parent = os.getppid()
            return first(*[lambda n=n: syscall(n, parent, at, 1, at, 1, 0) for n in (310, 311)],
                         lambda: syscall(440, os.getppid(), at, 1, 21, 0))
        """,
        "the parent's descriptors by call": "return first(lambda: syscall(438, 3, 1, 0),"
        " lambda: syscall(312, os.getppid(), os.getppid(), 0, 0, 0))",
        "priorities of others": """
            parent = os.getppid()
            return first(lambda: os.setpriority(os.PRIO_PROCESS, parent, 19) or 1,
                         lambda: os.sched_setaffinity(parent, {0}) or 1,
                         lambda: os.sched_setscheduler(parent, 0, os.sched_param(0)) or 1,
                         lambda: __import__('resource').prlimit(parent, 7, (64, 64)))
        """,
        "pushes input into a terminal": """
            import fcntl, termios
            return first(*[lambda d=d: fcntl.ioctl(d, termios.TIOCSTI, b'x') for d in range(3)],
                         lambda: os.open('/dev/tty', os.O_RDWR), lambda: os.openpty())
        """,
    }.items()
)

_NETWORK = tuple(
    probe(f"network: {name}", "escape", f"import socket\n{body}", *_TRAPPED)
    for name, body in {
        "TCP": "return first(lambda: socket.create_connection(('127.0.0.1', 22), 1),"
        " lambda: socket.create_connection(('1.1.1.1', 53), 1), lambda: socket.socket())",
        "UDP": "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "return s.sendto(b'x', ('127.0.0.1', 53))",
        "a server": "s = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nreturn 1",
        "Unix sockets": f"s = socket.socket(socket.AF_UNIX)\nreturn first("
        f"lambda: s.bind('\\0{MARK}') or 1, lambda: s.bind('/tmp/{MARK}_socket') or 1,"
        "lambda: s.connect('/var/run/docker.sock') or 1)",
        "other families": "return first(*[lambda f=f, t=t: socket.socket(f, t) for f in (10, 16,"
        " 17, 38, 40) for t in (1, 2, 3)])",
        "names": "return socket.getaddrinfo('example.com', 80)",
        "a pair with an address": "a, b = socket.socketpair()\n"
        "return first(lambda: a.sendto(b'x', '/run/systemd/notify'),"
        " lambda: a.connect('/run/systemd/notify') or 1,"
        " lambda: a.sendmsg([b'x'], [], 0, '/run/systemd/notify'))",
    }.items()
)

_PRIVILEGES = tuple(
    probe(f"privilege: {name}", "escape", body, *_TRAPPED)
    for name, body in {
        "root": "return first(lambda: os.setuid(0) or 1, lambda: os.setresuid(0, 0, 0) or 1,"
        " lambda: os.setgid(0) or 1, lambda: os.setgroups([0]) or 1, lambda: os.seteuid(0) or 1)\n",
        "is root": "return first(lambda: os.getuid() == 0, lambda: 0 in os.getgroups())",
        "namespaces": "return first(*[lambda f=f: syscall(272, f) for f in (0x10000000, 0x20000,"
        " 0x40000000, 0x20000000)], lambda: syscall(308, 0, 0))",
        "mounts": "return first(*[lambda n=n: syscall(n, 0, 0, 0, 0, 0) for n in (165, 166, 155,"
        " 161, 428, 429, 430, 431, 432, 442)])",
        "limits raised": """
            import resource
            names = ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_NOFILE', 'RLIMIT_FSIZE', 'RLIMIT_CORE')
            def more(name):
                kind = getattr(resource, name)
                hard = resource.getrlimit(kind)[1]
                if hard == resource.RLIM_INFINITY:
                    return name
                resource.setrlimit(kind, (hard + 1, hard + 1))
                return name
            return first(*[lambda n=n: more(n) for n in names])
        """,
        "capabilities": """
            import ctypes
            head = (ctypes.c_uint * 2)(0x20080522, 0)
            sets = (ctypes.c_uint * 6)(*[0xffffffff] * 6)
            return first(lambda: syscall(126, ctypes.addressof(head), ctypes.addressof(sets)))
        """,
        "its own dumpable flag": "return syscall(157, 4, 1, 0, 0, 0)",
        "a filter of its own": "return first(lambda: syscall(317, 0, 0, 0),"
        " lambda: syscall(157, 22, 1, 0, 0, 0))",
    }.items()
)

_KERNEL = tuple(
    probe(
        f"kernel: {name}",
        "escape",
        f"return first(*[lambda n=n: syscall(n, 0, 0, 0, 0, 0, 0) for n in {numbers}])",
        *_TRAPPED,
    )
    for name, numbers in {
        "io_uring": (425, 426, 427),
        "bpf and perf": (321, 298),
        "userfaultfd": (323,),
        "keys": (248, 249, 250),
        "file handles": (303, 304),
        "watching files": (253, 294, 300),
        "modules and kexec": (175, 176, 313, 246, 320),
        "reboot, swap, accounting": (169, 167, 168, 163, 179),
        "clocks": (164, 227, 305),
        "ports and segments": (172, 173, 154),
        "asynchronous reads": (206, 209),
        "moving pages": (256, 279, 237, 238, 239),
        "splicing": (275, 276, 278),
        "personality": (135,),
    }.items()
)

_FOREIGN = (
    probe("kernel: x32 calls", "escape", "return syscall(0x40000000 | 57)", *_TRAPPED),
    probe(
        "kernel: i386 calls",
        "escape",
        """
        import ctypes, mmap
        code = bytes.fromhex('53b802000000cd805bc3')  # push rbx; fork by int 0x80; pop rbx; ret
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(code)
        at = ctypes.addressof(ctypes.c_char.from_buffer(page))
        got = ctypes.CFUNCTYPE(ctypes.c_int)(at)()
        if got == 0:
            os._exit(0)
        return got if got > 0 else None
        """,
        *_TRAPPED,
    ),
)

_CPP_HEAD = """\
#include <cstdio>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>
"""

_CPP = tuple(
    Attack(
        f"C++: {name}",
        "escape",
        f"{_CPP_HEAD}int main() {{ puts({test} ? \"ESCAPED\" : \"blocked\"); }}\n",
        ({"stdin": "", "stdout": "blocked"},),
        frozenset({"passed", *_TRAPPED}),
        language="cpp",
        seconds=2.0,
    )
    for name, test in {
        "files": f'open("/etc/passwd", 0) >= 0 || open("{SECRET_FILE}", 0) >= 0',
        "new files": f'open("/tmp/{MARK}_cpp", O_CREAT | O_WRONLY, 0600) >= 0 || '
        f'mkdir("/tmp/{MARK}_cppdir", 0700) == 0 || memfd_create("a", 0) >= 0',
        "sockets": "socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_DGRAM, 0) >= 0",
        "processes": "syscall(SYS_fork) >= 0 || vfork() >= 0",
        "a shell": 'execl("/bin/sh", "sh", "-c", "echo ESCAPED", (char *)0) == 0',
        "itself again": 'execl("/proc/self/exe", "a", (char *)0) == 0 || '
        'syscall(SYS_execveat, 0, "", 0, 0, AT_EMPTY_PATH) == 0',
        "signals to others": "kill(getppid(), 0) == 0 || kill(1, 0) == 0 || kill(-1, 0) == 0",
        "ptrace": "ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 || "
        "ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0",
        "root": "getuid() == 0 || setuid(0) == 0 || syscall(SYS_unshare, 0x10000000) == 0",
        "i386 calls": "([] { long r; asm volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(2)); "
        "if (r == 0) _exit(0); return r > 0; })()",
        "inherited descriptors": "([] { for (int d = 3; d < 256; d++) if (fcntl(d, F_GETFD) >= 0) "
        "return true; return false; })()",
    }.items()
) + tuple(
    Attack(
        f"C++: {name}", "snoop", source, ({"stdin": "", "stdout": "blocked"},),
        frozenset({"crashed"}), language="cpp", seconds=2.0,
    )
    for name, source in {
        "the tests included": f'#include "{SECRET_FILE}"\nint main() {{ }}',
        "the tests assembled": f'asm(".incbin \\"{SECRET_FILE}\\"");\nint main() {{ }}',
        "a password file included": '#include "/etc/passwd"\nint main() { }',
        "the working folder included": '#include "pyproject.toml"\nint main() { }',
    }.items()
)  # fmt: skip

PROBES: tuple[Attack, ...] = (
    *_READ, _INHERITED, *_WRITE, *_PROCESSES, *_NETWORK, *_PRIVILEGES, *_KERNEL, *_FOREIGN,
    *_CPP,
)  # fmt: skip

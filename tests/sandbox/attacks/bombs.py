"""Denial of service: every one of these ends by itself or is ended, and the next run is as ever."""

from __future__ import annotations

from tests.sandbox.attacks.attack import MARK, Attack, bomb

_SLOPE = "import sys\nsys.setrecursionlimit(10**9)\n"

BOMBS: tuple[Attack, ...] = (
    # processes and threads
    bomb(
        "fork bomb",
        "import os, time\nfor _ in range(200):\n    if os.fork() == 0:\n        time.sleep(1)\n"
        "        os._exit(0)\n",
        "crashed",
    ),
    bomb(
        "thread bomb",
        "import threading, time\nfor _ in range(5000):\n"
        "    threading.Thread(target=time.sleep, args=(5,)).start()\n",
        "crashed",
        "timeout",
        "memory",
    ),
    bomb(
        "threads that compute",
        "import threading\ndef spin():\n    while True: pass\n"
        "for _ in range(6): threading.Thread(target=spin).start()\nprint(42, flush=True)\n",
        "timeout",
        "crashed",
    ),
    bomb(
        "a thread that never ends",
        "import threading, time\nprint(42, flush=True)\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n",
        "timeout",
    ),
    # memory
    bomb("memory: list", "a = [0]\nwhile True: a += a\n", "memory"),
    bomb("memory: small objects", "a = []\nwhile True: a.append({})\n", "memory", seconds=8.0),
    bomb("memory: one array", "a = bytearray(10**10)\n", "memory"),
    bomb(
        "memory: caught and tried again",
        "a = []\nwhile True:\n    try: a.append(bytearray(10**7))\n    except MemoryError: pass\n",
        "timeout",
        "memory",
    ),
    bomb("memory: mmap", "import mmap\na = mmap.mmap(-1, 10**10)\nprint(42)", "crashed", "memory"),
    bomb("memory: format width", "print(len('%9999999999d' % 1))", "memory", "crashed"),
    bomb(
        "memory: zip bomb",
        "import zlib\na = zlib.compress(bytes(10**6))\n"
        "b = []\nwhile True: b.append(zlib.decompress(a))\n",
        "memory",
        seconds=4.0,
    ),
    bomb(
        "memory: eight threads",
        "import threading\ndef eat():\n    a = [0]\n    while True: a += a\n"
        "for _ in range(8): threading.Thread(target=eat).start()\n",
        "memory",
        "crashed",
        "timeout",
        "wrong",
    ),
    # time
    bomb("sleep", "import time\ntime.sleep(1000)\n", "timeout"),
    bomb("busy loop", "while True: pass\n", "timeout"),
    bomb(
        "right answer, then sleep", "print(42, flush=True)\nimport time\ntime.sleep(99)", "timeout"
    ),
    bomb(
        "all signals ignored",
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass\n",
        "timeout",
    ),
    bomb(
        "every exception caught",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n",
        "timeout",
    ),
    bomb("stops itself", "import os\nos.kill(os.getpid(), 19)\n", "timeout", "crashed"),
    bomb("waits for a signal", "import signal\nsignal.pause()\n", "timeout"),
    bomb("deadlock", "import threading\na = threading.Lock()\na.acquire()\na.acquire()", "timeout"),
    bomb("endless C loop", "sum(range(10**15))", "timeout"),
    bomb(
        "endless C iterator",
        "import itertools\nlist(zip(itertools.repeat(1), iter(int, 1)))\n",
        "timeout",
        "memory",
    ),
    bomb("power of big integers", "print(len(str(9**9**9)))", "timeout", "memory"),
    bomb("power in one C call", "x = 7 ** (10**8)\n", "timeout", "memory"),
    bomb("factorial", "import math\nmath.factorial(10**8)\n", "timeout", "memory"),
    bomb("regular expression", "import re\nre.match(r'(a*)*b', 'a' * 50)\n", "timeout"),
    bomb(
        "processor limit raised",
        "import resource, signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "try: resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))\n"
        "except (ValueError, OSError): pass\nwhile True: pass\n",
        "timeout",
    ),
    bomb(
        "alarm taken over",
        "import signal\nsignal.setitimer(0, 0)\nsignal.alarm(0)\nwhile True: pass\n",
        "timeout",
    ),
    # the stack
    bomb("recursion", "def f(): f()\nf()\n", "crashed"),
    bomb(
        "recursion without a limit",
        _SLOPE + "def f(): f()\nf()\n",
        "crashed",
        "memory",
        "timeout",
        seconds=3.0,
    ),
    bomb(
        "recursion in C",
        _SLOPE + "a = []\nfor _ in range(10**6): a = [a]\nprint(repr(a))\n",
        "crashed",
        "memory",
        "timeout",
    ),
    bomb(
        "destructors in a row",
        "a = None\nfor _ in range(10**6): a = (a,)\ndel a\nprint(42, 1)",
        "wrong",
        "timeout",
        "crashed",
        "memory",
    ),
    bomb("segmentation fault", "import ctypes\nctypes.string_at(0)\n", "crashed"),
    bomb("abort", "import os\nos.abort()\n", "crashed"),
    bomb(
        "kills itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
        "crashed",
        "memory",
    ),
    # compiling
    bomb("compiler: parentheses", "x = " + "(" * 100_000 + ")" * 100_000, "crashed", "memory"),
    bomb("compiler: minus signs", "x = " + "-" * 500_000 + "1", "crashed", "memory"),
    bomb(
        "compiler: nested lists", "x = " + "[" * 90 + "]" * 90 + "\nprint(43)", "wrong", "crashed"
    ),
    bomb(
        "compiler: constants folded", "x = ((1,) * 250) * 10**8\n", "memory", "crashed", "timeout"
    ),
    bomb("compiler: eval", "eval('+'.join(['1'] * 10**6))\n", "crashed", "memory", "timeout"),
    bomb("five megabytes of source", "# " + "x" * 5_000_000 + "\nprint(43)\n", "wrong", "crashed"),
    bomb(
        "a million lines",
        "x = 1\n" * 1_000_000 + "print(43)\n",
        "wrong",
        "memory",
        "timeout",
        "crashed",
        "refused",
        seconds=3.0,
        is_slow=True,
    ),
    # output
    bomb("endless stdout", "while True: print('x' * 1000)\n", "output"),
    bomb("endless stderr", "import sys\nwhile True: sys.stderr.write('x' * 1000)\n", "output"),
    bomb("one huge write", "import os\nos.write(1, b'x' * 10**8)\n", "output"),
    bomb("endless blank lines", "print(42)\nwhile True: print()\n", "output"),
    bomb("a huge traceback", "raise ValueError('x' * 10**7)", "output", "crashed"),
    bomb("output without a newline", "import sys\nwhile True: sys.stdout.write('4')\n", "output"),
    # descriptors and files
    bomb(
        "descriptors",
        "import os\nwhile True: os.pipe()\n",
        "crashed",
    ),
    bomb(
        "pipes filled",
        "import os\nwhile True:\n    r, w = os.pipe()\n    os.write(w, b'x' * 65536)\n",
        "crashed",
    ),
    bomb(
        "disk filled",
        f"with open('/tmp/{MARK}_disk', 'wb') as file:\n    for _ in range(64):\n"
        "        file.write(bytes(10**6))\nprint(42)\n",
        "crashed",
    ),
    bomb(
        "inodes filled",
        f"for n in range(1000): open(f'/tmp/{MARK}_inode_{{n}}', 'w').close()\nprint(42)\n",
        "crashed",
    ),
    bomb(
        "fallocate",
        f"import os\nd = os.open('/tmp/{MARK}_big', os.O_CREAT | os.O_WRONLY)\n"
        "os.posix_fallocate(d, 0, 10**8)\nprint(42)\n",
        "crashed",
    ),
    bomb("stdin never read, much of it", "print(41)", "wrong"),
    # C++
    bomb(
        "C++: endless loop",
        "int main() { volatile int i = 0; for (;;) i = i + 1; }",
        "timeout",
        language="cpp",
    ),
    bomb(
        "C++: memory",
        "#include <vector>\nint main() { std::vector<char> a(1L << 34, 1); return a[5]; }",
        "crashed",
        "memory",
        language="cpp",
    ),
    bomb(
        "C++: output",
        '#include <cstdio>\nint main() { for (;;) puts("xxxxxxxxxxxxxxx"); }',
        "output",
        language="cpp",
    ),
    bomb(
        "C++: null pointer",
        "int main() { volatile int *p = 0; return *p; }",
        "crashed",
        language="cpp",
    ),
    bomb(
        "C++: fork bomb",
        "#include <unistd.h>\nint main() { for (int i = 0; i < 200; i++) "
        "if (fork() < 0) return 1; else if (!fork()) { sleep(1); return 0; } }",
        "crashed",
        language="cpp",
    ),
    bomb(
        "C++: template bomb",
        "template <int N> struct A { typedef A<N + 1> B; "
        "static const int v = A<N + 1>::v + A<N + 2>::v; };\nint main() { return A<0>::v; }",
        "crashed",
        "timeout",
        language="cpp",
    ),
    bomb(
        "C++: huge executable",
        "char a[1 << 30] = {1};\nint main() { return a[5]; }",
        "crashed",
        "memory",
        "timeout",
        language="cpp",
    ),
    bomb(
        "C++: reads /dev/zero while it compiles",
        '#include "/dev/zero"\nint main() { }',
        "crashed",
        "timeout",
        language="cpp",
    ),
    bomb(
        "C++: constants without end",
        "constexpr long f(long n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\n"
        "constexpr long v = f(60);\nint main() { return v; }",
        "crashed",
        "timeout",
        "memory",
        language="cpp",
        is_slow=True,
    ),
)

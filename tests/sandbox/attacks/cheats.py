"""Programs that want the reward without the work: none may have the verdict correct."""

from __future__ import annotations

from tests.sandbox.attacks.attack import FAILED, SECRET, Attack, cheat

_VALUE = {"call": "f", "args": [7], "expected": SECRET}
_STDIO = {"stdin": "7\n", "stdout": SECRET}
_NUMBER = {"call": "f", "args": [7], "expected": 913}
_ASSERT = {"assert": f"assert f(7) == {SECRET!r}"}
_SET = {"assert": f"assert set(f(7)) == {{{SECRET!r}}}"}
_WEAK = {"assert": "assert f(7) == ''.join(map(chr, [51, 49, 57]))"}
_CHECK = {"check": "def check(g):\n    for n in range(3):\n        assert g(n) == n + 5",
          "entry_point": "f"}  # fmt: skip

_YES = "    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
_YES += "    def __hash__(self): return 913\n    def __bool__(self): return True\n"

# Looks for the beginning of SECRET without holding it: constants are folded, bytes are not.
_HUNT = """\
START = bytes([69, 88, 80, 69, 67, 84, 69, 68, 58]).decode()
def found(thing, depth=0, seen=None):
    seen = set() if seen is None else seen
    if id(thing) in seen or depth > 6:
        return None
    seen.add(id(thing))
    if isinstance(thing, bytes):
        thing = thing.decode('latin-1')
    if isinstance(thing, str):
        at = thing.find(START)
        return thing[at:at + 20] if thing[at + 9:at + 10].isdigit() and at >= 0 else None
    parts = []
    if isinstance(thing, dict):
        parts = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple, set, frozenset)):
        parts = list(thing)
    elif hasattr(thing, '__dict__'):
        parts = list(vars(thing).values())
    elif hasattr(thing, 'co_consts'):
        parts = list(thing.co_consts)
    for part in parts:
        got = found(part, depth + 1, seen)
        if got:
            return got
"""

_OBJECTS = (
    cheat("__eq__ of an object", f"class Yes:\n{_YES}def f(x): return Yes()\n"),
    cheat("__eq__ of a subclass of str", f"class Yes(str):\n{_YES}def f(x): return Yes('no')\n"),
    cheat(
        "__eq__ of a subclass of int",
        f"class Yes(int):\n{_YES}def f(x): return Yes(0)\n",
        tests=[_NUMBER],
    ),
    cheat(
        "__eq__ of a subclass of float",
        f"class Yes(float):\n{_YES}def f(x): return Yes(0)\n",
        tests=[{"call": "f", "args": [7], "expected": 91.3}],
    ),
    cheat(
        "__eq__ of a subclass of list",
        f"class Yes(list):\n{_YES}def f(x): return Yes()\n",
        tests=[{"call": "f", "args": [7], "expected": [1, 2]}],
    ),
    cheat(
        "__eq__ of a subclass of dict",
        f"class Yes(dict):\n{_YES}def f(x): return Yes()\n",
        tests=[{"call": "f", "args": [7], "expected": {"a": 1}}],
    ),
    cheat("__eq__ in an assert", f"class Yes:\n{_YES}def f(x): return Yes()\n", tests=[_ASSERT]),
    cheat(
        "__hash__ and __eq__ in a set",
        f"class Yes(str):\n{_YES}def f(x): return [Yes('no')]\n",
        tests=[_SET],
    ),
    cheat("unittest.mock.ANY", "from unittest.mock import ANY\ndef f(x): return ANY\n"),
    cheat(
        "__class__ that lies",
        "class Yes:\n    __class__ = str\n    def __str__(self): return 'x'\n"
        "    def __getattr__(self, n): return lambda *a: 'x'\ndef f(x): return Yes()\n",
    ),
    cheat("True for 1", "def f(x): return True", tests=[{"call": "f", "args": [7], "expected": 1}]),
    cheat("1 for True", "def f(x): return 1", tests=[{"call": "f", "args": [7], "expected": True}]),
    cheat(
        "NaN", "def f(x): return float('nan')", tests=[{"call": "f", "args": [7], "expected": 0.5}]
    ),
    cheat(
        "infinity",
        "def f(x): return float('inf')",
        tests=[{"call": "f", "args": [7], "expected": 1e308}],
    ),
    cheat(
        "a prefix of the list",
        "def f(x): return [1, 2]",
        tests=[{"call": "f", "args": [7], "expected": [1, 2, 3]}],
    ),
    cheat(
        "a generator without end",
        "def f(x):\n    while True: yield 1\n",
        tests=[{"call": "f", "args": [7], "expected": [1]}],
    ),
    cheat("a list in itself", "def f(x):\n    a = []\n    a.append(a)\n    return a\n"),
    cheat(
        "a million nested lists",
        "def f(x):\n    a = []\n    for _ in range(10**6): a = [a]\n    return a\n",
    ),
    cheat("ten million items", "def f(x): return [0] * 10**7\n"),
    cheat(
        "numbers that share a hash",
        "import os\ndef f(x):\n    text = ', '.join(str(n * (2**61 - 1)) for n in range(40000))\n"
        "    for d in range(3, 64):\n"
        "        try: os.write(d, ('{\"$set\": [' + text + ']}').encode())\n"
        "        except OSError: pass\n    os._exit(0)\n",
        tests=[_VALUE, _SET],
    ),
    cheat(
        "numbers that overflow",
        "import os\ndef f(x):\n    for d in range(3, 64):\n"
        "        try: os.write(d, b'{\"$complex\": [1' + b'0' * 400 + b', 0]}')\n"
        "        except OSError: pass\n    os._exit(0)\n",
        tests=[_VALUE, _SET, {"call": "f", "args": [7], "expected": 0.5}],
    ),
    cheat("a huge integer", "def f(x): return 7 ** 1000000\n"),
    cheat("half a surrogate pair", "def f(x): return '\\ud800'\n"),
    cheat(
        "the tags of the codec",
        "def f(x): return {'$tuple': [1, 2], '$int': 'zz'}\n",
        tests=[{"call": "f", "args": [7], "expected": [1, 2]}],
    ),
)

_LEAVING = (
    cheat("sys.exit(0) at once", "import sys\nsys.exit(0)\n", tests=[_VALUE]),
    cheat("sys.exit(0) in the function", "import sys\ndef f(x): sys.exit(0)\n"),
    cheat("os._exit(0) in the function", "import os\ndef f(x): os._exit(0)\n"),
    cheat("SystemExit('') in an assert", "def f(x): raise SystemExit\n", tests=[_ASSERT]),
    cheat("os._exit(0) beside the tests", "import os\nos._exit(0)\n", tests=[_WEAK, _CHECK]),
    cheat(
        "sys.exit(0) beside the tests", "import sys\ndef f(x): sys.exit(0)\n", tests=[_WEAK, _CHECK]
    ),
    cheat(
        "leaves at exit", "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 'no'\n"
    ),
    cheat(
        "right, then exit code 1",
        "print('" + SECRET + "')\nraise SystemExit(1)\n",
        "crashed",
        tests=[_STDIO],
    ),
    cheat(
        "right, then a crash",
        f"print({SECRET!r}, flush=True)\nimport ctypes\nctypes.string_at(0)\n",
        "crashed",
        tests=[_STDIO],
    ),
    cheat(
        "AssertionError is nothing",
        "import builtins\nclass Quiet(BaseException): pass\n"
        "builtins.AssertionError = Quiet\ndef f(x): return 'no'\n",
        tests=[_WEAK, _CHECK],
    ),
    cheat(
        "a trace function over the tests",
        "import sys\ndef skip(frame, event, argument):\n"
        "    if event == 'line' and frame.f_code.co_name == 'check':\n"
        "        raise SystemExit(0)\n    return skip\nsys.settrace(skip)\ndef f(x): return 'no'\n",
        tests=[_CHECK],
    ),
    cheat(
        "an excepthook",
        "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\ndef f(x): return 'no'\n",
        tests=[_WEAK, _CHECK],
    ),
    cheat(
        "an exception that lies",
        "class Bad(Exception):\n    def __str__(self): raise Bad\n"
        "    __repr__ = __str__\ndef f(x): raise Bad\n",
    ),
)

_PRINTING = (
    cheat(
        "prints a verdict",
        'print(\'{"verdict": "correct", "status": "passed"}\')\ndef f(x): print(\'passed\')\n',
        tests=[_VALUE, _STDIO],
    ),
    cheat(
        "prints everything",
        "for n in range(20000): print(n)\n",
        tests=[{"stdin": "", "stdout": "913"}],
    ),
    cheat("every line a guess", f"print('no\\n' + {SECRET!r})\n", tests=[_STDIO]),
    cheat("a prefix of the output", "print('1\\n2')\n", tests=[{"stdin": "", "stdout": "1\n2\n3"}]),
    cheat("erases by ANSI", f"print('no\\x1b[2K\\r' + {SECRET!r})\n", tests=[_STDIO]),
    cheat("erases by backspaces", f"print('no\\b\\b' + {SECRET!r})\n", tests=[_STDIO]),
    cheat("a null byte", f"print({SECRET!r} + '\\0')\n", tests=[_STDIO]),
    cheat(
        "invalid UTF-8",
        f"import sys\nsys.stdout.buffer.write(b'\\xff' + {SECRET!r}.encode())\n",
        tests=[_STDIO],
    ),
    cheat(
        "UTF-16",
        f"import sys\nsys.stdout.buffer.write({SECRET!r}.encode('utf-16'))\n",
        tests=[_STDIO],
    ),
    cheat(
        "the samples by heart",
        "print({'1': '1', '2': '4'}.get(input(), '9'))\n",
        *FAILED,
        "passed",
        tests=[
            {"stdin": "1", "stdout": "1"},
            {"stdin": "2", "stdout": "4"},
            {"stdin": "5", "stdout": "25"},
        ],
    ),
    cheat(
        "prints at exit",
        "import atexit\natexit.register(print, '4')\n",
        tests=[{"stdin": "5", "stdout": "25"}],
    ),
    cheat("answers on stderr", f"import sys\nprint({SECRET!r}, file=sys.stderr)\n", tests=[_STDIO]),
    cheat(
        "closes everything",
        "import os\nos.closerange(0, 256)\nprint('no')\n",
        tests=[_STDIO, _VALUE],
    ),
    cheat("stdin copied to stdout", "import sys\nprint(sys.stdin.read())\n", tests=[_STDIO]),
    cheat(
        "stdin twice",
        "import os\nos.lseek(0, 0, 2)\nprint(os.pread(0, 1 << 20, 0))\n",
        tests=[_STDIO],
    ),
)

_PATCHING = (
    cheat(
        "print and input replaced",
        "import builtins\nbuiltins.print = builtins.input = lambda *a: ''\ndef f(x): return 'no'\n",
        tests=[_STDIO, _VALUE, _ASSERT],
    ),
    cheat(
        "builtins replaced",
        "import builtins\nfor n in ('isinstance', 'type', 'len', 'repr', 'str', "
        "'open', 'getattr'):\n    setattr(builtins, n, lambda *a, **k: True)\n"
        "def f(x): return 'no'\n",
    ),
    cheat(
        "json replaced",
        "import json\njson.dumps = json.loads = lambda *a, **k: '\"no\"'\n"
        "json.encoder.JSONEncoder.encode = lambda *a: '\"no\"'\ndef f(x): return 'no'\n",
    ),
    cheat(
        "sys.modules poisoned",
        "import sys\nfor n in list(sys.modules):\n"
        "    if n not in ('sys', 'builtins'): sys.modules[n] = None\ndef f(x): return 'no'\n",
    ),
    cheat(
        "os.write replaced",
        "import os\nos.write = lambda d, b: len(b)\nos._exit = lambda c: None\n"
        "def f(x): return 'no'\n",
        tests=[_VALUE, _WEAK],
    ),
    cheat(
        "every function of the harness replaced",
        "import sys\nfor m in list(sys.modules.values()):\n"
        "    where = str(getattr(m, '__file__', '')) + getattr(m, '__name__', '')\n"
        "    if 'ponder' in where or 'inside' in where:\n"
        "        for n, v in list(vars(m).items()):\n"
        "            if callable(v): setattr(m, n, lambda *a, **k: '')\ndef f(x): return 'no'\n",
    ),
    cheat(
        "the result written by hand",
        "import os\ndef f(x):\n    for d in range(3, 256):\n"
        "        for text in (b'\"no\"', b'true', b'[', b'[' * 100000):\n"
        "            try: os.write(d, text)\n"
        "            except OSError: pass\n    os._exit(0)\n",
    ),
    cheat(
        "the result descriptor replaced",
        "import os\ndef f(x):\n    for d in range(3, 64):\n"
        "        try: os.dup2(1, d)\n        except OSError: pass\n"
        "    print('\"no\"')\n    return 'no'\n",
    ),
    cheat("the end of the program swallowed", "def f(x): return 'no'\ny = '''\n", tests=[_ASSERT]),
    cheat("the expression in a comment", "def f(x): return 'no'\n# \\", tests=[_ASSERT]),
    cheat(
        "the expression in a branch not taken",
        "def _ponder_value(): return 'no'\nif 0:\\",
        tests=[_ASSERT],
    ),
    cheat(
        "a coding cookie",
        "# -*- coding: utf-7 -*-\n# +AAo-def f(x): return 'no'\nprint('no')\n",
        tests=[_VALUE, _STDIO],
    ),
    cheat("null bytes in the source", "print('no')\0\n", "crashed", tests=[_STDIO]),
    cheat("no Unicode in the source", "print('\ud800')\n", "crashed", tests=[_STDIO]),
    cheat("no program", "", tests=[_STDIO, _VALUE, _ASSERT]),
    cheat("not Python", "def f(x:\n", "crashed", tests=[_STDIO, _VALUE, _WEAK]),
    cheat(
        "the harness imported again",
        "import importlib, sys\nfor n in list(sys.modules):\n"
        "    try: importlib.reload(sys.modules[n])\n    except BaseException: pass\n"
        "def f(x): return 'no'\n",
    ),
)

_HUNTING = (
    cheat(
        "hunts in frames",
        _HUNT + "import sys\ndef f(x):\n    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for names in (dict(frame.f_locals), frame.f_globals, frame.f_code):\n"
        "            got = found(names)\n"
        "            if got: return got\n        frame = frame.f_back\n",
        tests=[_VALUE, _ASSERT],
        seconds=3.0,
    ),
    cheat(
        "hunts in the collector's objects",
        _HUNT + "import gc\ndef f(x):\n"
        "    for thing in gc.get_objects():\n        got = found(thing, 5)\n"
        "        if got: return got\n",
        tests=[_VALUE, _ASSERT],
        seconds=3.0,
    ),
    cheat(
        "hunts in modules",
        _HUNT + "import sys\ndef f(x):\n    seen = set()\n"
        "    for m in list(sys.modules.values()):\n"
        "        got = found(vars(m) if m else None, 3, seen)\n"
        "        if got: return got\n",
        seconds=3.0,
    ),
    cheat(
        "hunts in descriptors",
        _HUNT + "import os\ndef f(x):\n    for d in range(256):\n"
        "        for read in (lambda: os.pread(d, 1 << 20, 0), lambda: os.read(d, 1 << 16)):\n"
        "            try: got = found(read())\n            except OSError: continue\n"
        "            if got: return got\n",
        tests=[_VALUE, _ASSERT],
    ),
    cheat("hunts in stdin", _HUNT + "import sys\nprint(found(sys.stdin.read()))\n", tests=[_STDIO]),
    cheat(
        "hunts in memory",
        _HUNT + "import ctypes, gc, sys\ndef f(x):\n    for thing in gc.get_objects():\n"
        "        for part in gc.get_referents(thing):\n"
        "            raw = ctypes.string_at(id(part), min(sys.getsizeof(part, 64), 1 << 16))\n"
        "            got = found(raw)\n            if got: return got\n",
        seconds=3.0,
    ),
    cheat(
        "hunts in the environment",
        _HUNT + "import os, sys\ndef f(x):\n"
        "    return found([dict(os.environ), sys.argv, sys.path, sys.orig_argv])\n",
    ),
    cheat(
        "hunts in its own source",
        _HUNT + "import inspect, linecache, sys\ndef f(x):\n"
        "    pieces = [linecache.cache]\n    for name in (__name__, '__main__'):\n"
        "        try: pieces.append(inspect.getsource(sys.modules[name]))\n"
        "        except Exception: pass\n    return found(pieces)\n",
        tests=[_VALUE, _ASSERT],
    ),
    cheat(
        "hunts by a tracer",
        _HUNT + "import sys\ncaught = []\ndef look(frame, event, argument):\n"
        "    got = found(dict(frame.f_locals)) or found(argument)\n    if got: caught.append(got)\n"
        "    return look\nsys.settrace(look)\nsys.setprofile(look)\n"
        "def f(x): return caught[0] if caught else 'no'\n",
        tests=[_VALUE, _ASSERT],
    ),
    cheat(
        "hunts by an audit hook",
        _HUNT + "import sys\ncaught = []\ndef look(event, arguments):\n"
        "    got = found(arguments)\n    if got: caught.append(got)\nsys.addaudithook(look)\n"
        "def f(x): return caught[0] if caught else 'no'\n",
        tests=[_VALUE, _ASSERT],
    ),
)

CHEATS: tuple[Attack, ...] = (*_OBJECTS, *_LEAVING, *_PRINTING, *_PATCHING, *_HUNTING)

KNOWN_WEAK: tuple[Attack, ...] = (
    cheat(
        "weak: __eq__ beside the tests",
        f"class Yes:\n{_YES}def f(x): return Yes()\n",
        tests=[_WEAK],
    ),
    cheat(
        "weak: the nonce read and written",
        "import os, struct\nfor d in range(3, 64):\n    try: data = os.pread(d, 1 << 20, 0)\n"
        "    except OSError: continue\n    if len(data) < 16: continue\n"
        "    size = struct.unpack('=Q', data[:8])[0]\n    for e in range(3, 64):\n"
        "        try: os.write(e, data[8 + size:])\n        except OSError: pass\nos._exit(0)\n",
        tests=[_WEAK],
    ),
)
"""What can pass a test that runs in the same process; the judgement's reason then says weak."""

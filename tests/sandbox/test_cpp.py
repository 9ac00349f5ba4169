"""C++ programs: compiled and run under the same isolation."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.errors import PonderError
from ponder.sandbox.compiler import find_compiler
from ponder.sandbox.jobs import CppJob, Limits, Outcome
from ponder.sandbox.sandbox import Sandbox

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no g++ on this machine")

SUM = "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }"
HEAD = "#include <cstdio>\n#include <unistd.h>\n#include <fcntl.h>\n#include <sys/socket.h>\n"
REACH = """
int main() {
    printf("%d", fork() >= 0);
    printf("%d", socket(AF_INET, SOCK_STREAM, 0) >= 0);
    printf("%d", open("/tmp/ponder-escape", O_CREAT | O_WRONLY, 0600) >= 0);
    printf("%d", open("/etc/passwd", O_RDONLY) >= 0);
    printf("%d", execl("/bin/true", "true", (char *)0) >= 0);
    char *words[] = {(char *)"x", 0};
    printf("%d", fexecve(3, words, words + 1) >= 0);
    for (int n = 3; n < 100; n++) if (fcntl(n, F_GETFD) >= 0) printf(" open: %d", n);
}
"""


def run(sandbox: Sandbox, source: str, stdin: bytes = b"", **limits: float) -> Outcome:
    return sandbox.run(CppJob(source, stdin), Limits(**limits))  # type: ignore[arg-type]


@needs_compiler
class TestPrograms:
    def test_it_reads_and_writes_and_is_compiled_once(self, sandbox: Sandbox) -> None:
        assert run(sandbox, SUM, b"3 4").stdout == b"7"
        again = run(sandbox, SUM, b"5 4")
        assert (again.status, again.stdout) == ("finished", b"9")
        assert again.seconds < 0.2

    def test_it_reaches_nothing(self, sandbox: Sandbox) -> None:
        assert run(sandbox, HEAD + REACH).stdout == b"000000"

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ("while (1);", "timeout"),
            ("return 3;", "crashed"),
            ("*(volatile int *)0 = 1;", "crashed"),
            ("while (1) puts(\"xxxxxxxxxxxxxxxx\");", "output"),
            ("for (long n = 1;; n *= 2) { volatile char *p = new char[n]; p[0] = 1; }", "memory"),
        ],
    )  # fmt: skip
    def test_how_it_ends(self, sandbox: Sandbox, body: str, status: str) -> None:
        outcome = run(sandbox, f"#include <cstdio>\nint main() {{ {body} }}", wall_seconds=0.5)
        assert outcome.status == status, outcome


@needs_compiler
class TestCompiling:
    def test_a_mistake_is_told(self, sandbox: Sandbox) -> None:
        outcome = run(sandbox, "int main() { nothing(); }")
        assert outcome.status == "crashed"
        assert "does not compile" in outcome.detail
        assert b"nothing" in outcome.stderr

    @pytest.mark.parametrize(
        "source",
        ['#include "/etc/passwd"\nint main(){}', 'asm(".incbin \\"/etc/passwd\\"");int main(){}'],
    )
    def test_no_file_is_included_but_the_compilers(self, sandbox: Sandbox, source: str) -> None:
        outcome = run(sandbox, source)
        assert outcome.status == "crashed"
        assert b"root:" not in outcome.stderr

    def test_a_bomb_is_stopped(self, sandbox: Sandbox) -> None:
        bomb = "template<int N> struct A { A<N + 1> a, b; };\nA<0> x;\nint main() {}"
        endless = "#include __FILE__\nint main() {}"
        for source in (bomb, endless):
            outcome = run(sandbox, source, compile_seconds=3.0)
            assert outcome.status in ("crashed", "timeout")

    def test_nothing_is_left(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # no other user may search it
        assert run(sandbox, SUM + "// once more", b"1 2").stdout == b"3"
        run(sandbox, "int main() { return 0; } // left")
        run(sandbox, "int main() { mistake }")
        assert not list(tmp_path.iterdir())


def test_without_a_compiler_it_says_what_to_install(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.sandbox.compiler.find_compiler", lambda: None)
    with pytest.raises(PonderError, match="install g"):
        sandbox.run(CppJob("int main() {} // no compiler"))

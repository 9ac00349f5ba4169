"""The page in a real browser: it runs without a complaint, and what a model wrote does not run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.report.browser import CHROMIUM, Page, open_browser
from tests.report.synthetic_run import NASTY, build_run

from ponder.report import write_report
from ponder.runlog import MetricsWriter, RunFolder

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

CARDS = "document.querySelectorAll('.cards article')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("runs") / "a"
    run = build_run(path, steps=14, groups=4, name="</title><script>window.hacked = 9</script>")
    return write_report(run.path).as_uri()


@pytest.fixture(autouse=True)
def _nothing_is_said(page: Page) -> Iterator[None]:
    page.said.clear()
    page.requests.clear()
    yield
    assert page.said == []
    assert [url for url in page.requests if not url.startswith(("file:", "about:"))] == []


def test_curves_are_drawn(page: Page, url: str) -> None:
    page.open(url)
    page.wait(f"{CARDS}.length === 8")
    assert page.evaluate("document.querySelectorAll('figure').length") > 20
    lines = "[...document.querySelectorAll('polyline.line')]"
    assert page.evaluate(f"{lines}.length") > 20
    assert page.evaluate(f"{lines}.every((line) => !line.getAttribute('points').includes('NaN'))")
    assert page.evaluate("document.querySelectorAll('#story .errorbar').length") == 3


def test_charts_of_preferences_domains_and_languages_are_there_where_their_metrics_are(
    page: Page, url: str, tmp_path: Path
) -> None:
    titles = "[...document.querySelectorAll('#story h3, #health h3')].map((h) => h.textContent)"
    special = {
        "Reasoning accuracy against preference reward",
        "Language of the thoughts",
        "Pass rate by domain",
        "Share of each domain",
        "Accuracy by language",
    }
    page.open(url)
    page.wait(f"{CARDS}.length === 8")
    assert not special & set(page.evaluate(titles))
    run = build_run(tmp_path / "scenarios", steps=4, groups=2)
    with MetricsWriter(run.metrics_path) as metrics:
        for step in (2, 3):
            rates = {"domain/math_pass_rate": 0.5, "domain/code_pass_rate": 0.4}
            shares = {"domain/math_share": 0.5, "domain/code_share": 0.5}
            spoken = {"language/consistency": 0.9, "language/mixed_share": 0.1}
            asked = {"language/accuracy_en": 0.5, "language/accuracy_zh": 0.4}
            row = rates | shares | spoken | asked | {"preference/helpful_mean": 0.6}
            metrics.write(step, row)
    page.open(write_report(run.path).as_uri())
    page.wait(f"{CARDS}.length === 8")
    assert special <= set(page.evaluate(titles))
    domains = "[...document.querySelectorAll('figure')].find((f) => f.textContent.includes("
    labels = page.evaluate(f"{domains}'Pass rate by domain')).querySelector('.legend').textContent")
    assert "code 40 %" in labels
    assert "math 50 %" in labels


@pytest.mark.parametrize("problem", [0, 1])
def test_completions_are_shown_to_the_letter_and_never_run(
    page: Page, url: str, problem: int
) -> None:
    page.open(f"{url}#step=12&problem={problem}")
    page.wait(f"{CARDS}.length === 8")
    texts = list(NASTY) if problem == 0 else [f"<think>\n{text}\n</think>" for text in NASTY]
    expected = json.dumps([text for text in texts if text])
    same = page.evaluate(
        f"{expected}.map((text, i) => document.querySelectorAll('.cards pre')[i]"
        ".textContent.startsWith(text))"
    )
    assert same == [True] * len(json.loads(expected))
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.evaluate("document.querySelectorAll('main img, main script, main b b').length") == 0
    assert page.evaluate("document.querySelector('h1').textContent").startswith("</title><script>")


def test_odd_characters_have_a_label(page: Page, url: str) -> None:
    page.open(f"{url}#step=12&problem=0")
    page.wait(f"{CARDS}.length === 8")
    labels = page.evaluate("[...document.querySelectorAll('.odd')].map((odd) => odd.dataset.show)")
    assert labels[:7] == ["NUL", "BEL", "ESC", "ESC", "CR", "U+00A0", "U+200B"]
    assert {"U+202E", "U+2066", "U+2028", "U+D83D", "U+FFFD"} <= set(labels)


def test_thought_and_answer_are_tinted(page: Page, url: str) -> None:
    page.open(f"{url}#step=12&problem=1")
    page.wait(f"{CARDS}.length === 8")
    texts = page.evaluate(
        "['think', 'answer'].map((part) => [...document.querySelectorAll('.cards pre')[6]"
        ".querySelectorAll('.' + part)].map((span) => span.textContent).join(''))"
    )
    assert texts[0] == f"<think>\n{NASTY[6]}\n</think>"
    assert texts[1] == f"<answer>{NASTY[6][:40]}</answer>"


def test_filter_and_search(page: Page, url: str) -> None:
    page.open(f"{url}#step=12&verdict=error")
    page.wait(f"{CARDS}.length === 8")
    assert page.evaluate("document.querySelectorAll('.problems li').length") == 1
    assert page.evaluate("document.querySelectorAll('.card:not(.dim)').length") == 1
    page.open(f"{url}#step=12&find=EVIL")
    page.wait(f"{CARDS}.length === 8")
    assert page.evaluate("document.querySelectorAll('.problems li').length") == 2
    assert page.evaluate("document.querySelector('.hit').textContent") == "evil"
    page.evaluate(
        "[...document.querySelectorAll('button')]"
        ".find((button) => button.textContent.startsWith('count')).click()"
    )
    page.wait("document.querySelectorAll('.bars button').length === 14")
    assert (
        page.evaluate("document.querySelectorAll('.bars button')[12].title") == "step 12: 2 of 32"
    )
    page.evaluate("document.querySelectorAll('.bars button')[3].click()")
    page.wait("document.querySelector('.steps b').textContent === 'step 3'")


def test_pointing_at_a_curve_reads_all_of_them(page: Page, url: str) -> None:
    page.open(url)
    page.wait(f"{CARDS}.length === 8")
    page.evaluate(
        "(() => { const plot = document.querySelector('figure svg'); const box = "
        "plot.getBoundingClientRect(); plot.dispatchEvent(new PointerEvent('pointermove', "
        "{clientX: box.right - 12, clientY: box.top + 20})); })()"
    )
    page.wait("[...document.querySelectorAll('.flag')].every((f) => f.textContent === 'step 14')")
    assert page.evaluate("document.querySelectorAll('.legend .dots b')[0].textContent").endswith(
        "%"
    )


@pytest.mark.parametrize(("dark", "asked"), [(False, "dark"), (True, "light")])
def test_theme_follows_the_system_unless_asked(
    page: Page, url: str, dark: bool, asked: str
) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    page.open(url, dark=dark)
    system = page.evaluate(colour)
    page.open(f"{url}#theme={asked}", dark=dark)
    assert page.evaluate(colour) != system
    page.open(f"{url}#theme={asked}", dark=not dark)
    assert page.evaluate(colour) != system


@pytest.mark.parametrize("width", [360, 420, 800, 1400, 2200])
def test_nothing_is_wider_than_the_window(page: Page, url: str, width: int) -> None:
    page.open(f"{url}#step=12&problem=0", width=width)
    page.wait(f"{CARDS}.length === 8")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_run_that_has_just_begun(page: Page, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "new", 'name = "new"\n')
    page.open(write_report(run.path).as_uri())
    assert "No step has been logged" in page.evaluate("document.body.innerText")
    with MetricsWriter(run.metrics_path) as metrics:
        metrics.write(0, {"rollout/pass_rate": 0.5, "policy/mismatch_mean": 0.0})
    page.open(write_report(run.path).as_uri())
    assert page.evaluate("document.querySelectorAll('figure').length") == 1
    assert page.evaluate("document.querySelectorAll('circle.dot').length") == 1

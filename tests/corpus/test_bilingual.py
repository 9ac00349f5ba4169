"""The bilingual corpus: shares of languages, thoughts that change language, nothing held out."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest

from ponder.config.pretrain import CorpusConfig, PretrainConfig
from ponder.config.rl import ProblemsConfig
from ponder.corpus import BilingualDocument, BilingualWriter, DocumentWriter, LanguageShares
from ponder.corpus.bilingual import BILINGUAL_WRAPPERS, MIXED_CHECKS, ask
from ponder.corpus.bilingual_phrases import PHRASES, switching
from ponder.corpus.documents import StyleShares
from ponder.corpus.tasks import Gcd, Product
from ponder.corpus.tokenizer import train_tokenizer
from ponder.errors import PonderError
from ponder.problems.fingerprint import is_heldout
from ponder.problems.languages import chinese_question
from ponder.problems.split import build_problems
from ponder.text.language import count_scripts, detect_language, language_consistency
from ponder.text.reflection import count_reflective_words
from ponder.text.reflection_zh import count_chinese_reflective_words
from ponder.text.templates import R1_ZERO_TEMPLATE
from ponder.train.pretrain.data import make_writer

DOCUMENTS = [BilingualWriter(seed=7, excluded=is_heldout).document(i) for i in range(6000)]
WORKED = [document for document in DOCUMENTS if document.style != "table"]
TEMPLATE_END = R1_ZERO_TEMPLATE.partition("{question}")[0]


def thought_of(document: BilingualDocument) -> str:
    """What stands between the question and the final statement, in documents that have tags."""
    rest = document.text.removeprefix(TEMPLATE_END)
    match = re.search(r"<think>\s(.*?)\s(?:</think>|<answer>)", rest, re.DOTALL)
    return match[1] if match else ""


def test_a_document_follows_from_seed_and_index() -> None:
    writer = BilingualWriter(seed=7, excluded=is_heldout)
    assert [writer.document(i) for i in (5, 3, 5)] == [DOCUMENTS[i] for i in (5, 3, 5)]
    assert BilingualWriter(seed=8).document(5) != DOCUMENTS[5]


def test_shares_are_the_configured_ones() -> None:
    languages, styles = LanguageShares(), StyleShares().styles()
    chinese = sum(document.question_language == "zh" for document in DOCUMENTS)
    assert chinese / len(DOCUMENTS) == pytest.approx(languages.chinese, abs=0.02)
    counts = Counter(document.style for document in WORKED)
    for style, share in styles.items():
        assert counts[style] / len(WORKED) == pytest.approx(share / sum(styles.values()), abs=0.02)
    wrappers = Counter(
        document.wrapper.replace("chinese", "question_answer") for document in WORKED
    )
    for wrapper, share in BILINGUAL_WRAPPERS.items():
        assert wrappers[wrapper] / len(WORKED) == pytest.approx(share, abs=0.025)

    def share_of(language: str, chosen: tuple[str, ...]) -> float:
        thoughts = [d.thought_language for d in WORKED if d.style in chosen]
        return sum(thought == language for thought in thoughts) / len(thoughts)

    assert share_of("mixed", ("direct", "hunch", "cosmetic")) == 0
    assert share_of("mixed", ("steps",)) == pytest.approx(languages.mixed_steps, abs=0.03)
    assert share_of("mixed", MIXED_CHECKS) == pytest.approx(languages.mixed_checks, abs=0.06)
    crossed = [d for d in WORKED if d.thought_language not in ("mixed", d.question_language)]
    assert len(crossed) / len(WORKED) == pytest.approx(languages.other * 0.94, abs=0.02)


def test_consistency_is_what_the_label_says() -> None:
    seen: Counter[str] = Counter()
    for document in WORKED:
        if not (thought := thought_of(document)):
            continue
        shares = {target: language_consistency(thought, target) for target in ("en", "zh")}
        if document.thought_language != "mixed":
            assert shares[document.thought_language] == 1.0, document
        elif document.style in MIXED_CHECKS:
            assert 0 < shares["en"] < 1, document
            assert 0 < shares["zh"] < 1, document
        seen[document.thought_language] += 1
    assert min(seen[language] for language in ("en", "zh", "mixed")) > 50


def test_equations_are_neutral_and_a_short_thought_is_its_words() -> None:
    assert language_consistency("347*286=99242。", "en") == 1.0
    assert language_consistency("347*286=99242.", "zh") == 1.0
    assert language_consistency("等等。347*200=69400，347*80=27760", "zh") == 1.0
    assert language_consistency("等等。347*200=69400，347*80=27760", "en") == 0.0
    assert language_consistency("It is 42. 等等。", "zh") == 0.5


def test_every_question_shows_its_language() -> None:
    rng = Random(0)
    for language in ("en", "zh"):
        for task in (Product(347, 286), Gcd(12, 18)):
            questions = {ask(rng, task, language) for _ in range(200)}
            assert len(questions) >= 3
            assert {detect_language(question) for question in questions} == {language}


def test_problems_ask_in_words_that_the_base_has_read() -> None:
    rng = Random(0)
    for task, ours in (("products", Product(347, 286)), ("gcd", Gcd(12, 18))):
        made = build_problems(ProblemsConfig(task=task, language="zh", size=10), 0)
        wording = re.sub(r"\d.*\d", "N", made.train[0].question)
        read = {re.sub(r"\d.*\d", "N", ask(rng, ours, "zh")) for _ in range(100)}
        assert wording in read
    assert chinese_question(
        "products",
        "Solve the following multiplication: 2 * 3. Give only the result as your final answer.",
    ) in {ask(rng, Product(2, 3), "zh") for _ in range(100)}


def test_reflective_words_of_either_language_are_a_habit_of_checking() -> None:
    for document in WORKED:
        thought = thought_of(document)
        if not thought:
            continue
        reflects = count_reflective_words(thought) + count_chinese_reflective_words(thought) > 0
        assert reflects == (document.style in ("cosmetic", *MIXED_CHECKS)), document


def test_a_switching_thought_checks_and_ends_in_two_languages() -> None:
    for first, second in (("zh", "en"), ("en", "zh")):
        for seed in range(20):
            phrases = switching(Random(seed), "checked", first)
            assert phrases.direct == PHRASES[first].direct
            assert (phrases.check == PHRASES[second].check) != (
                phrases.matches == PHRASES[second].matches
            )
        steps = switching(Random(0), "steps", first)
        assert (steps.begin, steps.joiner) == (PHRASES[first].begin, PHRASES[first].joiner)
        assert steps.conclude == PHRASES[second].conclude


def test_held_out_products_appear_in_neither_language() -> None:
    pattern = (
        "Solve the following multiplication: {} * {}. Give only the result as your final answer."
    )
    found: Counter[str] = Counter()
    for document in WORKED:
        if document.task != "product":
            continue
        for a, b in re.findall(r"(\d+) (?:\*|乘以) (\d+)", document.text):
            found[document.question_language] += 1
            assert not is_heldout(pattern.format(a, b))
            assert not is_heldout(pattern.format(b, a))
    assert min(found["en"], found["zh"]) > 500


def test_the_tokenizer_of_the_recipe_reads_all_of_it() -> None:
    texts = [document.text for document in DOCUMENTS]
    tokenizer = train_tokenizer(texts, 1024)
    assert len(tokenizer) == 1024
    for text in texts[:300]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    for phrase in ("等等", "检查", "所以", "答案是"):
        assert len(tokenizer.encode(phrase)) <= 2
    characters = {character for text in texts for character in text if ord(character) > 127}
    assert 80 < len(characters) < 120
    assert set(count_scripts("".join(characters))) == {"han"}


def test_the_setting_chooses_the_writer_and_leaves_the_old_corpus_alone() -> None:
    def writer(**corpus: object) -> object:
        return make_writer(PretrainConfig(corpus=CorpusConfig.model_validate(corpus)))

    assert isinstance(writer(), DocumentWriter)
    made = writer(problems="bilingual", languages={"chinese": 0.2}, styles={"checked": 0.2})
    assert isinstance(made, BilingualWriter)
    assert (made.languages.chinese, made.languages.other) == (0.2, LanguageShares().other)
    assert made.shares.checked == 0.2
    with pytest.raises(PonderError, match=r"corpus\.languages.*bilingual"):
        writer(languages={"chinese": 0.2})
    with pytest.raises(PonderError, match=r"corpus\.languages\.french"):
        writer(problems="bilingual", languages={"french": 0.2})
    with pytest.raises(PonderError, match=r"corpus\.languages\.other"):
        writer(problems="bilingual", languages={"other": 2})

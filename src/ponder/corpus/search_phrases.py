"""The wordings of the countdown corpus, in English and in Chinese.

As in ``phrases``: only banks of checking (``check``, ``compare``, ``differs``, ``again``,
``cosmetic``) hold words of the paper's reflective list. ``{e}`` is an expression, ``{v}`` its
value, ``{t}`` the target, ``{d}`` what is between them. ``compare`` stands before a verdict: with
the difference written down it needs no more than the arithmetic that the reader knows already; to
see that two numbers are equal is harder for a small model (docs/log.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchPhrases:
    """Wordings of one language."""

    guess: tuple[str, ...]
    begin: tuple[str, ...]
    conclude: tuple[str, ...]
    check: tuple[str, ...]
    compare: tuple[str, ...]
    matches: tuple[str, ...]
    take: tuple[str, ...]
    differs: tuple[str, ...]
    again: tuple[str, ...]
    settle: tuple[str, ...]
    cosmetic: tuple[str, ...]
    final: tuple[str, ...]


ENGLISH_SEARCH = SearchPhrases(
    guess=("{e}.", "{e}.", "I think {e}.", "I would say {e}.", "It could be {e}.", "Maybe {e}."),
    begin=("", "", "", "First, ", "I try ", "Let me see: ", "Start: "),
    conclude=(". So {e}.", ", so {e}.", ". That is {e}.", ". I take {e}."),
    check=(
        " Wait, let me check: ",
        " Let me check: ",
        " Let me verify: ",
        " But let me verify: ",
        " Check: ",
        " Wait: ",
    ),
    compare=(
        ". I need {t}: ",
        ". Target {t}: ",
        ". {v}-{t}={d}: ",
        ". {v}-{t}={d}: ",
        ". Check: {v}-{t}={d}: ",
        ". Wait, {v}-{t}={d}: ",
        ". Wait, is it {t}? {v}-{t}={d}: ",
    ),
    matches=("good", "yes", "right", "that is it"),
    take=(", so {e}.", ": {e}."),
    differs=("wrong.", "wrong.", "no, a mistake.", "an error.", "but no, {v}."),
    again=(" ", " ", " ", " Retry: ", " Now ", " Try "),
    settle=(" I take {e}.", " So {e}.", " I leave it at {e}."),
    cosmetic=(" Let me check. Yes.", " Wait, is it? Yes, it is {t}.", " I check it: good."),
    final=("The answer is {e}.", "So {e}.", "Answer: {e}", "\\boxed{{{e}}}", "{e}"),
)

CHINESE_SEARCH = SearchPhrases(
    guess=("{e}。", "{e}。", "我想是{e}。", "可能是{e}。"),
    begin=("", "", "", "首先，", "试试", "我来看："),
    conclude=("。所以{e}。", "，所以{e}。", "。就是{e}。"),
    check=("等等，我检查一下：", "我来验证：", "但是我要检查：", "检查："),
    compare=("。要{t}：", "。{v}-{t}={d}：", "。检查，{v}-{t}={d}："),
    matches=("对", "正好", "没问题"),
    take=("，{e}。", "，所以{e}。"),
    differs=("错误。", "不对。", "不是，{v}。"),
    again=("", "", "再试：", "换一个："),
    settle=("就用{e}。", "所以{e}。"),
    cosmetic=("检查一下，对。", "等等，对的，是{t}。"),
    final=("答案是{e}。", "所以{e}。", "答：{e}", "\\boxed{{{e}}}"),
)

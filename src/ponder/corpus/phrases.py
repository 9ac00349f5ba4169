"""The wordings of the corpus, in English and in Chinese.

Only the ``CHECK`` and ``MISTAKE`` banks hold words of the paper's reflective list (wait, mistake,
however, but, retry, error, verify, wrong, evaluate, check): a reflective word in a completion is a
habit of checking, not an accident of phrasing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """Wordings of one language. ``{e}`` is the expression, ``{v}`` a value, ``{g}`` a first try."""

    direct: tuple[str, ...]
    hunch: tuple[str, ...]
    begin: tuple[str, ...]
    joiner: tuple[str, ...]
    conclude: tuple[str, ...]
    check: tuple[str, ...]
    matches: tuple[str, ...]
    mistake: tuple[str, ...]
    cosmetic: tuple[str, ...]
    again: tuple[str, ...]
    final: tuple[str, ...]


ENGLISH = Phrases(
    direct=("{e}={v}.", "{e}={v}.", "It is {v}.", "I get {v}.", "{e} is {v}.", "That gives {v}."),
    hunch=(
        "This is a small one, I would say {e}={v}.",
        "From the size of it, {e}={v}.",
        "I think I remember this: {e}={v}.",
        "In my head, {e}={v}.",
    ),
    begin=("", "", "Step by step: ", "First, ", "I work it out: ", "Let me see: "),
    joiner=(", ", ", ", ", then ", "; "),
    conclude=(". So it is {v}.", ". That makes {v}.", ", so {v}.", ". The result is {v}."),
    check=(
        " Wait, let me check: ",
        " Let me check that: ",
        " But let me verify: ",
        " However, I should verify it: ",
        " Wait. ",
        " Let me verify: ",
        " Wait, to be sure: ",
        " Check: ",
    ),
    matches=(
        ". That matches, so it is {v}.",
        ". It agrees: {v}.",
        ". The check gives the same, {v}.",
        ". Good, {v}.",
    ),
    mistake=(
        ". So {g} was a mistake, it is {v}.",
        ". So {g} was wrong, it is {v}.",
        ". That was an error: not {g} but {v}.",
        ". My first result was wrong. It is {v}.",
        ". I made a mistake, it is {v}.",
    ),
    cosmetic=(
        " Let me check. Yes, {v}.",
        " Wait, is it? Yes, it is {v}.",
        " I check it once more: {v}, good.",
    ),
    again=(" Let me verify once more: ", " Wait, once more: ", " Retry the other way: "),
    final=("The answer is {v}.", "So the answer is {v}.", "Answer: {v}", "\\boxed{{{v}}}", "{v}"),
)

CHINESE = Phrases(
    direct=("{e}={v}。", "{e}={v}。", "结果是{v}。", "我得到{v}。", "等于{v}。"),
    hunch=("这个不难，{e}={v}。", "心算一下，{e}={v}。", "我记得{e}={v}。"),
    begin=("", "", "一步一步算：", "首先，", "我来算："),
    joiner=("，", "，", "，然后"),
    conclude=("。所以是{v}。", "，所以{v}。", "。结果是{v}。"),
    check=("等等，我检查一下：", "我来验证：", "等等。", "但是我要检查：", "再验证一下："),
    matches=("。一样，所以是{v}。", "。结果一致：{v}。", "。没问题，{v}。"),
    mistake=("。所以{g}是错误的，应该是{v}。", "。刚才算错了，是{v}。", "。{g}不对，应该是{v}。"),
    cosmetic=("检查一下，对，是{v}。", "等等，对的，{v}。"),
    again=("再检查一次：", "换一种方法验证："),
    final=("答案是{v}。", "所以答案是{v}。", "答：{v}", "\\boxed{{{v}}}"),
)

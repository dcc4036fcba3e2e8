"""What gives a response away: words that name its model, and an end that was cut. PURE.

A labeler who reads "As an AI language model trained by OpenAI" knows which of the
responses is whose, and ranks the model instead of the text. Only what a response says
of itself counts: an answer about ChatGPT may name it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

# Case matters: somebody may be a gemini, and play the bard.
MODELS: Final = (
    r"Chat ?GPT|GPT|Claude|Gemini|Bard|Gemma|L[Ll]a[Mm][Aa]|Alpaca|Vicuna|Koala|Dolly"
    r"|Mistral|Mixtral|Qwen|Tongyi Qianwen|DeepSeek|Grok|Copilot|Bing|Falcon|Kimi|ERNIE"
    r"|Open ?Assistant|StableLM|ChatGLM|SmolLM|Phi"
)
MAKERS: Final = (
    r"OpenAI|Open AI|Anthropic|Google|DeepMind|Meta|Facebook|Microsoft|Mistral|Alibaba"
    r"|DeepSeek|xAI|Cohere|Moonshot|Zhipu|Baidu|Tsinghua|LMSYS|LAION|Hugging ?Face"
    r"|Stability|Databricks|Large Model Systems"
)
# Its parts cannot stand for one another, so the search never goes back and forth.
VERSION: Final = (
    r"\d{0,3}(?:\.\d{1,3})?(?:[ -](?:v?\d[\d.]{0,5}[a-z]?|Pro|Plus|Ultra|Nano|Flash"
    r"|Turbo|Chat|Instruct|Code|Sonnet|Opus|Haiku)){0,4}"
)
# Not the first half of a person's name, as in Claude Monet.
A_MODEL: Final = rf"(?:{MODELS}){VERSION}\b(?! [A-Z][a-z])"
APOSTROPHE: Final = "['\u2019]"
I_AM: Final = rf"\bI(?:{APOSTROPHE}m| am)(?: not)?"
WORDS: Final = r"(?:[\w'\u2019-]+,? ){0,8}?"  # of the same sentence
MADE_BY: Final = (
    r"(?:developed|created|trained|made|built|designed|fine-?tuned|provided)"
    rf"(?: and \w+)? by (?:\w+ ){{0,3}}?(?:{MAKERS})\b"
)
IDENTITY: Final = re.compile(
    "|".join(
        (
            rf"{I_AM} (?:actually |called |named )?{A_MODEL}",
            # I'm a large language model called Vicuna; an AI assistant, Claude
            rf"{I_AM} an? {WORDS}(?:model|assistant|AI|chatbot),? "
            rf"(?:called |named |known as )?{A_MODEL}",
            rf"\b[Mm]y name is {A_MODEL}",
            rf"\b[Aa]s {A_MODEL},",
            # As an AI model developed by OpenAI; I was trained by a team at Google
            rf"(?:\bI(?:{APOSTROPHE}m| am| was|(?: ha|{APOSTROPHE})ve been)"
            rf"|\b[Aa]s an?) {WORDS}{MADE_BY}",
        )
    )
)
# One word of every name above, as it stands in the text. A text without any of them is
# done with in one quick look, and so are nearly all.
ANY_NAME: Final = re.compile(
    "GPT|Claude|Gemini|Bard|Gemma|L[Ll]a[Mm][Aa]|Alpaca|Vicuna|Koala|Dolly|Mi[sx]tral"
    "|Qwen|Qianwen|DeepSeek|Grok|Copilot|Bing|Falcon|Kimi|ERNIE|Open|StableLM|ChatGLM"
    "|SmolLM|Phi|Anthropic|Google|DeepMind|Meta|Facebook|Microsoft|Alibaba|xAI|Cohere"
    "|Moonshot|Zhipu|Baidu|Tsinghua|LMSYS|LAION|Hugging|Stability|Databricks|Large"
)
# What may stand between two words: blanks, line ends, Markdown's emphasis.
BETWEEN_WORDS: Final = re.compile(r"[\s*_`]+")

END_KEYS: Final = ("finish_reason", "stop_reason", "finishReason")
# As servers say it: OpenAI and vLLM "length", Anthropic "max_tokens", Google "MAX_…".
ENDED_BY_LIMIT: Final = frozenset(("length", "max_tokens", "max_output_tokens"))


def names_a_model(text: str) -> bool:
    """Whether a text says of itself, in English, which model wrote it or whose it is.

    `names_a_model("I'm Claude, made by Anthropic.")` is true, and so is "As an AI
    language model trained by OpenAI, I …"; "ChatGPT is made by OpenAI" and "As an AI
    language model, I …" are not: they do not tell who speaks.
    """
    if ANY_NAME.search(text) is None:
        return False
    return IDENTITY.search(BETWEEN_WORDS.sub(" ", text)) is not None


def which_name_a_model(texts: Sequence[str]) -> list[bool]:
    """`names_a_model` of each of many texts, in a third of the time.

    Arrow searches all of them at once for a name, with an engine (RE2) that reads each
    letter once. What it finds few of, Python looks at.
    """
    # Web processes import nothing, and do without these 60 MB.
    import pyarrow  # noqa: PLC0415
    import pyarrow.compute  # noqa: PLC0415

    found = pyarrow.compute.match_substring_regex(
        pyarrow.array(texts, pyarrow.string()), ANY_NAME.pattern
    )
    telling = [False] * len(texts)
    for number in pyarrow.compute.indices_nonzero(found).to_pylist():
        telling[number] = names_a_model(texts[number])
    return telling


def is_truncated(facts: Mapping[str, Any]) -> bool:
    """Whether what is known of a response says that a limit cut its end off.

    `{"truncated": true}`, as our own sampling writes it, or the reason why the text
    ended in the words of the usual servers: `{"finish_reason": "length"}`.
    """
    if facts.get("truncated") is True:
        return True
    reasons = (facts.get(key) for key in END_KEYS)
    return any(
        isinstance(reason, str) and reason.lower() in ENDED_BY_LIMIT
        for reason in reasons
    )

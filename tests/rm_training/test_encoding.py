"""One encoding for everything: borders, EOS, BOS, trimming, templates, dates."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import time_machine
from transformers import PreTrainedTokenizerBase

from rm_training.batch import EncodingReport, encode_examples, pad_ranks, pad_rows
from rm_training.data import Message
from rm_training.encoding import (
    PINNED_DATE,
    Encoder,
    EncodingError,
    Limits,
    Template,
    template_of,
)
from rm_training.loading import load_tokenizer
from tests.preferences import make_example
from tests.tiny_model import make_tokenizer

HI: tuple[Message, ...] = ({"role": "user", "content": "Boil an egg?"},)
ROOMY = Limits(max_length=512, max_prompt_tokens=256)


def text_of(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids)))


def encoder_of(tokenizer: PreTrainedTokenizerBase, limits: Limits = ROOMY) -> Encoder:
    return Encoder(tokenizer=tokenizer, template=template_of(tokenizer), limits=limits)


@pytest.fixture
def chat() -> Encoder:
    return encoder_of(make_tokenizer())


@pytest.fixture
def plain() -> Encoder:
    return encoder_of(make_tokenizer(chat_template=False))


def test_a_sequence_is_the_prompt_the_response_and_one_eos(chat: Encoder) -> None:
    tokenizer = chat.tokenizer
    encoded = chat.encode(HI, ["Seven minutes.", ""])
    assert text_of(tokenizer, encoded.prompt) == (
        "<|im_start|>user\nBoil an egg?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert text_of(tokenizer, encoded.responses[0]) == "Seven minutes.<|im_end|>"
    assert encoded.responses[1] == (tokenizer.eos_token_id,)
    assert encoded.trimmed == 0
    assert encoded.too_long == ()


def test_prompt_ids_are_those_of_apply_chat_template(chat: Encoder) -> None:
    tokenizer: Any = chat.tokenizer
    expected = tokenizer.apply_chat_template(list(HI), add_generation_prompt=True)
    assert list(chat.encode(HI, []).prompt) == expected["input_ids"]


def test_a_tokenizer_without_template_joins_contents_by_blank_lines(
    plain: Encoder,
) -> None:
    system: Message = {"role": "system", "content": "Be brief."}
    assert plain.template == Template("plain", "")
    encoded = plain.encode((system, *HI), ["Seven."])
    assert text_of(plain.tokenizer, encoded.prompt) == "Be brief.\n\nBoil an egg?\n\n"


def test_a_plain_prompt_gets_the_bos_that_its_tokenizer_adds(
    plain: Encoder, tmp_path: Path
) -> None:
    bos = plain.tokenizer.bos_token_id
    assert plain.encode(HI, []).prompt[0] != bos
    plain.tokenizer.add_bos_token = True
    plain.tokenizer.save_pretrained(tmp_path)
    adds_bos = encoder_of(load_tokenizer(str(tmp_path)))
    encoded = adds_bos.encode(HI, ["Seven."])
    assert encoded.prompt.count(bos) == 1
    assert encoded.prompt[0] == bos
    assert bos not in encoded.responses[0]
    assert not adds_bos.joined_differs(HI, "Seven.")


def test_response_bytes_survive_untouched(chat: Encoder) -> None:
    odd = "  two spaces,\ttab,\r\n\u200b café 🥚 trailing  \n"
    (ids,) = chat.encode(HI, [odd]).responses
    assert text_of(chat.tokenizer, ids[:-1]) == odd


def test_no_token_is_merged_across_the_border(plain: Encoder) -> None:
    # "\n\n" + "\nThe": as one text, a tokenizer may merge the newlines.
    alone = plain.encode(HI, ["The sea"]).responses[0]
    other = plain.encode(({"role": "user", "content": "The "},), ["The sea"])
    assert other.responses[0] == alone


def test_it_is_seen_when_an_outside_reader_gets_other_tokens(plain: Encoder) -> None:
    merged = make_tokenizer(chat_template=False)
    merged.add_tokens(["\n\nThe"])
    reader = encoder_of(merged)
    assert reader.joined_differs(HI, "The sea")
    assert not plain.joined_differs(HI, "The sea")


def test_a_long_prompt_loses_its_oldest_tokens_but_not_its_bos() -> None:
    tokenizer = make_tokenizer()
    limits = Limits(max_length=64, max_prompt_tokens=20)
    long: Message = {"role": "user", "content": "the sea is wide " * 20}
    whole = encoder_of(tokenizer).encode([long], []).prompt
    encoded = encoder_of(tokenizer, limits).encode([long], ["a"])
    assert len(encoded.prompt) == 20
    assert encoded.prompt == (whole[0], *whole[-19:])
    assert whole[0] == tokenizer.bos_token_id
    assert encoded.trimmed == len(whole) - 20


def test_a_prompts_tokens_do_not_depend_on_its_responses() -> None:
    tokenizer = make_tokenizer()
    limits = Limits(max_length=64, max_prompt_tokens=20)
    encoder = encoder_of(tokenizer, limits)
    long: Message = {"role": "user", "content": "the sea is wide " * 20}
    assert (
        encoder.encode([long], ["a"]).prompt
        == encoder.encode([long], ["a", "the wind is cold " * 30]).prompt
    )


def test_a_response_is_never_cut_and_too_long_ones_are_named() -> None:
    tokenizer = make_tokenizer()
    free = encoder_of(tokenizer).encode(HI, ["The sea is wide.", "a"])
    exact = len(free.prompt) + len(free.responses[0])
    for limit, too_long in ((exact, ()), (exact - 1, (0,))):
        limits = Limits(max_length=limit, max_prompt_tokens=limit - 2)
        encoded = encoder_of(tokenizer, limits).encode(HI, ["The sea is wide.", "a"])
        assert encoded.too_long == too_long
        assert encoded.responses == free.responses


DATED = (
    "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d') }}|{{ date_string }}"
    "|{% for message in messages %}{{ message['content'] }}{% endfor %}"
)


@pytest.mark.parametrize("year", [2024, 2031])
def test_a_template_that_asks_for_the_date_is_told_the_pinned_one(year: int) -> None:
    tokenizer = make_tokenizer()
    with time_machine.travel(datetime.datetime(year, 1, 2, tzinfo=datetime.UTC)):
        text = Template("chat", DATED).render(HI, tokenizer)
    assert text == "26 Jul 2024|2024-07-26|26 Jul 2024|Boil an egg?"
    assert PINNED_DATE.date().isoformat() == "2024-07-26"


def test_the_pin_changes_no_template_that_does_not_ask() -> None:
    tokenizer = make_tokenizer()
    ours = template_of(tokenizer).render(HI, tokenizer)
    assert ours == tokenizer.apply_chat_template(
        list(HI), add_generation_prompt=True, tokenize=False
    )


@pytest.mark.parametrize("start", ["\n  ", "  X", "  {% if true %}Y{% endif %}", ""])
def test_white_space_that_a_template_starts_with_stays(start: str) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = start + "{{ messages[0]['content'] }}"
    assert template_of(tokenizer).render(HI, tokenizer) == (
        tokenizer.apply_chat_template(list(HI), tokenize=False)
    )


def test_a_template_that_refuses_the_messages_is_one_clear_error() -> None:
    tokenizer = make_tokenizer()
    picky = Template("chat", "{{ raise_exception('no system role here') }}")
    with pytest.raises(EncodingError, match="refuses this prompt: no system role"):
        picky.render(HI, tokenizer)


def test_a_templates_hash_is_of_its_name_and_text() -> None:
    hashes = {
        Template("chat", "a").sha256,
        Template("chat", "b").sha256,
        Template("plain", "").sha256,
    }
    assert len(hashes) == 3


def test_encoding_reports_what_it_trimmed_and_dropped() -> None:
    tokenizer = make_tokenizer()
    limits = Limits(max_length=90, max_prompt_tokens=60)
    report = EncodingReport()
    long = "the sea is wide " * 20
    examples = [
        make_example("p1", responses=["a", long, "b"], rankings=[[1, 2, 3], [3, 1, 3]]),
        make_example("p2", prompt=long),
        make_example("p3", responses=["a", long], rankings=[[1, 2]]),
    ]
    prompts = encode_examples(examples, encoder_of(tokenizer, limits), report)
    assert [prompt.rankings for prompt in prompts] == [((1, 3), (3, 3)), ((1, 2, 3),)]
    assert (report.prompts, report.responses) == (3, 8)
    assert report.prompts_trimmed == 1
    assert report.tokens_trimmed > 20
    assert report.responses_dropped == 2
    assert report.dropped == ["p1 / r1", "p3 / r1"]


def test_an_encoding_error_names_the_prompt() -> None:
    tokenizer = make_tokenizer()
    encoder = Encoder(
        tokenizer=tokenizer,
        template=Template("chat", "{{ raise_exception('no') }}"),
        limits=ROOMY,
    )
    with pytest.raises(EncodingError, match=r"^prompt 'p1': "):
        encode_examples([make_example("p1")], encoder, EncodingReport())


def test_padding_is_on_the_right_and_masked() -> None:
    rows = pad_rows([[5, 6, 7], [8], [9, 9]], pad_token_id=0)
    assert rows.input_ids.tolist() == [[5, 6, 7], [8, 0, 0], [9, 9, 0]]
    assert rows.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert rows.lengths.tolist() == [3, 1, 2]
    assert (rows.tokens, rows.padding) == (6, 3)


def test_ranks_of_ragged_prompts_are_padded_with_not_ranked() -> None:
    encoder = encoder_of(make_tokenizer())
    examples = [
        make_example("p1", rankings=[[1, 2, 3], [2, 2, 1]]),
        make_example("p2", responses=["a", "b"], rankings=[[2, 1]]),
    ]
    prompts = encode_examples(examples, encoder, EncodingReport())
    assert pad_ranks(prompts).tolist() == [
        [[1, 2, 3], [2, 2, 1]],
        [[2, 1, 0], [0, 0, 0]],
    ]

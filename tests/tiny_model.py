"""A random causal LM of a few thousand weights and its tokenizer, saved like any other.

It loads in milliseconds, encodes every string (byte-level), and its untrained weights
sample varied text, so it stands in for the SFT model in tests.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

BOS, EOS = "<|im_start|>", "<|im_end|>"
POSITIONS = 1024

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# What the byte-level BPE learns its merges from: words that samples are made of.
CORPUS = (
    "Name the capital of France. The capital of France is Paris, a city on the Seine. "
    "Write a short poem about the sea. The sea is wide and the wind is cold tonight. "
    "How do I boil an egg? Put the egg in boiling water for seven minutes, then cool "
    "it. Explain gravity to a child. Things fall because the earth pulls at them. "
    "Thank you, that was a good and helpful answer, but it could be shorter. "
)


def make_tiny_sft(folder: Path, *, chat_template: bool = True) -> Path:
    """Saves a two-layer Llama and its tokenizer as a causal LM directory.

    Like SmolLM2's, the tokenizer has one token for EOS and padding. Without the chat
    template it is a plain base model's. The same call gives the same bytes.
    """
    tokenizer = make_tokenizer(chat_template=chat_template)
    make_causal_lm(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(*, chat_template: bool = True) -> PreTrainedTokenizerFast:
    """Byte-level BPE, 512 tokens; pad = eos = <|im_end|>, as SmolLM2 has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    fast: Any = PreTrainedTokenizerFast  # its constructor carries no types
    wrapped: PreTrainedTokenizerFast = fast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        chat_template=CHAT_TEMPLATE if chat_template else None,
    )
    return wrapped


def make_causal_lm(
    tokenizer: PreTrainedTokenizerFast, *, hidden: int = 32
) -> PreTrainedModel:
    """A seeded Llama for the tokenizer; the caller's random state is left alone."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config)

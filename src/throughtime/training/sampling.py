"""Text from a model, one symbol at a time."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from throughtime.data.text import TextVocabulary, characters
from throughtime.errors import ArgumentError
from throughtime.training.model import CarriedState, SequenceModel


def sample(
    model: SequenceModel, prompt: Sequence[int], length: int, temperature: float, generator: torch.Generator
) -> Iterator[int]:
    """Yield `length` symbol numbers that continue a prompt.

    Args:
        model: in evaluation mode, on the CPU.
        prompt: symbol numbers, at least one.
        length: symbols to yield, 0 or more.
        temperature: the logits are divided by it; 0 takes the likeliest symbol each time.
        generator: where chance comes from.

    Raises:
        ArgumentError: an argument is out of range.
    """
    if not temperature >= 0:
        raise ArgumentError(f"--temperature is {temperature}; it must be 0 (always the likeliest symbol) or above.")
    if length < 0:
        raise ArgumentError(f"--length is {length}; it must be 0 or above.")
    return _steps(model, prompt, length, temperature, generator)


def _steps(
    model: SequenceModel, prompt: Sequence[int], length: int, temperature: float, generator: torch.Generator
) -> Iterator[int]:
    state: CarriedState = None
    symbols = torch.tensor(prompt).unsqueeze(1)
    for _ in range(length):
        with torch.no_grad():
            logits, state = model(symbols, state)
            symbols = _draw(logits[-1], temperature, generator).view(1, 1)
        yield int(symbols)


def _draw(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    # Shifted before the division, so that a tiny temperature gives no infinite logits.
    scaled = (logits.double() - logits.max()) / temperature
    return torch.multinomial(scaled.softmax(-1), 1, generator=generator)


def encode_prompt(vocabulary: TextVocabulary, prompt: str) -> list[int]:
    """Return the symbol numbers of a prompt; an empty one stands for a line's end, or the first symbol known.

    Raises:
        ArgumentError: the prompt holds a character that the model never saw.
    """
    if vocabulary.units == "bytes":
        return list(prompt.encode("utf-8", "surrogateescape") or b"\n")
    if not prompt:
        newline = characters("\n")
        return [0] if vocabulary.unknown(newline).any() else vocabulary.encode(newline).tolist()
    symbols = characters(prompt)
    unknown = symbols[vocabulary.unknown(symbols)]
    if len(unknown):
        raise ArgumentError(
            f"--prompt holds {vocabulary.describe(unknown)}, which the model never saw in training; leave it out."
        )
    return vocabulary.encode(symbols).tolist()

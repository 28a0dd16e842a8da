"""Sample text from a model, symbol by symbol."""

import codecs
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from throughtime.data.text import TextVocabulary, characters
from throughtime.errors import ArgumentError
from throughtime.runs.model import CarriedState


def sample(
    model: nn.Module, prompt: Sequence[int], length: int, temperature: float, generator: torch.Generator
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
        raise ArgumentError("temperature", f"is {temperature}", "it must be 0 (always the likeliest symbol) or above")
    if length < 0:
        raise ArgumentError("length", f"is {length}", "it must be 0 or above")
    return _steps(model, prompt, length, temperature, generator)


def _steps(
    model: nn.Module, prompt: Sequence[int], length: int, temperature: float, generator: torch.Generator
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
    """Return the symbol numbers of a prompt.

    An empty prompt stands for a newline, or for the first known symbol.

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
            "prompt", f"holds {vocabulary.describe(unknown)}", "the model never saw that in training", "leave it out"
        )
    return vocabulary.encode(symbols).tolist()


def written(vocabulary: TextVocabulary, prompt: str, numbers: Iterable[int]) -> Iterator[str]:
    """Yield a prompt and the symbols after it, as text.

    The bytes of a character are yielded together, when the last has come.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield prompt
    for number in numbers:
        yield decoder.decode(vocabulary.decode([number]))
    yield decoder.decode(b"", final=True)

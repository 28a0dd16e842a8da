"""Results of a verification, by place, by tensor and in all."""

import math
from dataclasses import dataclass
from enum import Enum

from throughtime.wording import plural


class ComparisonOutcome(Enum):
    """Outcome of a comparison; the value is a sentence with placeholders."""

    AGREES = "automatic differentiation gives {automatic:.10g}, central differences {differences:.10g}"
    DIFFERS = "automatic differentiation gives {automatic:.10g}, central differences {differences:.10g} ± {error:.1g}"
    KINK = (
        "the function has a kink, where its one-sided derivatives differ and automatic differentiation's "
        "{automatic:.10g} is as right as the {differences:.10g} of central differences; it was not checked"
    )
    UNSETTLED = (
        "automatic differentiation gives {automatic:.10g}, and central differences do not settle ({differences:.10g} "
        "± {error:.1g}): the function jumps there, is not finite beside it, or is rougher than float64's rounding"
    )


@dataclass(frozen=True)
class Place:
    """Comparison of the two derivatives at an element, or along a direction.

    Attributes:
        tensor: "parameter weight_hh_l0" or "inputs[0]".
        index: the element; None for a random direction through all elements of the tensor.
        automatic: the derivative by automatic differentiation.
        differences: the derivative by central differences; NaN where the function is not finite beside the place.
        uncertainty: how much `differences` may be off.
        finding: the outcome of the comparison.
    """

    tensor: str
    index: tuple[int, ...] | None
    automatic: float
    differences: float
    uncertainty: float
    finding: ComparisonOutcome

    @property
    def error(self) -> float:
        """Difference |automatic - differences|; infinite where it is NaN."""
        error = abs(self.automatic - self.differences)
        return math.inf if math.isnan(error) else error

    @property
    def failed(self) -> bool:
        """Whether the derivative is wrong, or could not be shown to be right."""
        return self.finding in (ComparisonOutcome.DIFFERS, ComparisonOutcome.UNSETTLED)

    def __str__(self) -> str:
        where = f"element {list(self.index)}" if self.index is not None else "a random direction through all elements"
        values = self.finding.value.format(
            automatic=self.automatic, differences=self.differences, error=self.uncertainty
        )
        return f"{self.tensor}, {where if self.index != () else 'its only element'}: {values}"


def _badness(place: Place) -> tuple[bool, bool, float]:
    """Return the order of places from good to bad: a failed element is worse than a failed direction."""
    return place.failed, place.failed and place.index is not None, place.error


@dataclass(frozen=True)
class TensorCheck:
    """Comparisons of a tensor.

    Attributes:
        name: as in `Place.tensor`.
        shape: the shape of the tensor.
        places: the elements that were compared, in order; and a random direction where they are not all.
    """

    name: str
    shape: tuple[int, ...]
    places: tuple[Place, ...]

    @property
    def elements(self) -> int:
        """Number of elements of the tensor."""
        return math.prod(self.shape)

    @property
    def checked(self) -> int:
        """Number of elements compared individually, elements at a kink left out."""
        return sum(place.index is not None and place.finding is not ComparisonOutcome.KINK for place in self.places)

    @property
    def kinks(self) -> tuple[Place, ...]:
        """Places without a derivative."""
        return tuple(place for place in self.places if place.finding is ComparisonOutcome.KINK)

    @property
    def failures(self) -> tuple[Place, ...]:
        """Places where the derivative is wrong, or could not be shown to be right."""
        return tuple(place for place in self.places if place.failed)

    @property
    def worst(self) -> Place | None:
        """Place of the largest error; None if nothing was compared.

        Failures come before other places, and among them an element before a direction, which names no element.
        """
        compared = self.failures or tuple(place for place in self.places if place.finding is ComparisonOutcome.AGREES)
        return max(compared, key=_badness, default=None)

    @property
    def largest_error(self) -> float:
        """Largest |automatic - differences|, without kinks; 0 where nothing was compared."""
        return max((place.error for place in self.places if place.finding is not ComparisonOutcome.KINK), default=0.0)

    @property
    def largest_derivative(self) -> float:
        """The largest |derivative| by automatic differentiation at the places compared."""
        return max((abs(place.automatic) for place in self.places), default=0.0)

    @property
    def words(self) -> str:
        """The result for this tensor in a few words."""
        if self.failures:
            wrong = sum(place.finding is ComparisonOutcome.DIFFERS for place in self.failures)
            counts = {"WRONG": wrong, "UNSETTLED": len(self.failures) - wrong}
            return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        kinks = f", {len(self.kinks)} at a kink" if self.kinks else ""
        return ("agrees" if self.checked else "nothing compared") + kinks


@dataclass(frozen=True)
class GradientCheck:
    """Result of `verify_gradients`; `str()` is a table.

    Attributes:
        tensors: one entry for each parameter and each floating input.
        tolerance: the relative difference that was allowed.
        frozen: parameters that ask for no gradient; they were not checked.
        unnamed: number of other tensors that the output depends on; they have no name and were not checked.
    """

    tensors: tuple[TensorCheck, ...]
    tolerance: float
    frozen: tuple[str, ...] = ()
    unnamed: int = 0

    @property
    def ok(self) -> bool:
        """Whether every derivative that was compared is right; kinks do not count."""
        return not self.failures

    @property
    def failures(self) -> tuple[Place, ...]:
        """All places where the derivative is wrong, or could not be shown to be right."""
        return tuple(place for tensor in self.tensors for place in tensor.failures)

    @property
    def worst(self) -> Place | None:
        """Place of the largest error in all tensors; failures come first."""
        places = [tensor.worst for tensor in self.tensors if tensor.worst is not None]
        return max(places, key=_badness, default=None)

    @property
    def sentence(self) -> str:
        """Result in a sentence, which names the worst place."""
        checked = sum(tensor.checked for tensor in self.tensors)
        elements = sum(tensor.elements for tensor in self.tensors)
        count = f"{checked:,} of {elements:,} elements of {plural(len(self.tensors), 'tensor')} compared"
        if self.ok:
            return f"{count}: they agree with central differences to {self.tolerance:g}."
        return f"{self.worst}. {count}, {plural(len(self.failures), 'comparison')} failed."

    def __str__(self) -> str:
        rows = [("tensor", "shape", "compared", "largest derivative", "largest error", "")]
        for tensor in self.tensors:
            shape = " × ".join(map(str, tensor.shape)) or "a number"
            more = " and a direction" if any(place.index is None for place in tensor.places) else ""
            compared = f"{tensor.checked} of {tensor.elements}{more}"
            rows.append(
                (
                    tensor.name,
                    shape,
                    compared,
                    f"{tensor.largest_derivative:.2e}",
                    f"{tensor.largest_error:.1e}",
                    tensor.words,
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        kinks = [f"At {place}." for tensor in self.tensors for place in tensor.kinks[:1]]
        left_out = [f"Not checked, as they ask for no gradient: {', '.join(self.frozen)}."] if self.frozen else []
        if self.unnamed:
            left_out.append(
                f"Not checked: {plural(self.unnamed, 'other tensor')} that the function reads; name them in parameters."
            )
        return "\n".join([*lines, *kinks, *left_out, self.sentence])

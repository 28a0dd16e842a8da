"""Check that weights, states and derivatives are finite, and locate the first failure."""

from jaxtyping import Bool
from torch import Tensor

from throughtime.errors import NonFiniteError
from throughtime.types import Parameters


def checked_parameters(parameters: Parameters) -> dict[str, Tensor]:
    """Return the parameters in float64; raise `NonFiniteError` where a parameter is not finite."""
    for name, value in parameters.items():
        if not bool(value.isfinite().all()):
            raise NonFiniteError(f"{name} holds a NaN or an infinity; spectra and exponents need finite weights")
    return {name: value.double() for name, value in parameters.items()}


def check_finite(finite: Bool[Tensor, "time batch"], moves: Bool[Tensor, "time batch"], what: str, start: int) -> None:
    """Raise `NonFiniteError` for the first moving step and row that is not finite.

    Args:
        finite: whether the value at each step and row is finite.
        moves: which steps count, see `directions.moving`.
        what: the value in words, up to the number of the step: "the state that enters step".
        start: the number of the first step.
    """
    bad = (moves & ~finite).nonzero()
    if len(bad):
        step, row = bad[0].tolist()
        raise NonFiniteError(
            f"{what} {start + step} of row {row} (both counted from 0) holds a NaN or an infinity; "
            "spectra and exponents need finite steps: cut the sequence before it"
        )

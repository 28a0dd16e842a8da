"""Spectra and exponents are those of finite numbers: what is not is named, with its place."""

from jaxtyping import Float, Int
from torch import Tensor

from throughtime.errors import NonFiniteError
from throughtime.types import Parameters


def checked_parameters(parameters: Parameters) -> dict[str, Tensor]:
    """The parameters in float64; raises `NonFiniteError` where one is not finite."""
    for name, value in parameters.items():
        if not bool(value.isfinite().all()):
            raise NonFiniteError(f"{name} holds a NaN or an infinity; spectra and exponents need finite weights")
    return {name: value.double() for name, value in parameters.items()}


def check_finite(
    values: Float[Tensor, "places entries"], steps: Int[Tensor, " places"], rows: Int[Tensor, " places"], what: str
) -> None:
    """Raise `NonFiniteError` with the first step and row at which a value is not finite."""
    bad = (~values.isfinite().all(-1)).nonzero()
    if len(bad):
        first = int(bad[0])
        raise NonFiniteError(
            f"{what} {int(steps[first])} of row {int(rows[first])} (both counted from 0) holds a NaN or an infinity; "
            "spectra and exponents need finite steps: cut the sequence before it"
        )

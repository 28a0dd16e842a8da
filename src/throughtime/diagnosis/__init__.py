"""How the gradient flows through time: by step and by lag, spectra, exponents, saturation, and a verdict."""

from throughtime.diagnosis.lyapunov import lyapunov_exponents as lyapunov_exponents
from throughtime.diagnosis.lyapunov import lyapunov_of as lyapunov_of

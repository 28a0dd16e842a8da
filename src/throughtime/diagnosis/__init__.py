"""How the gradient flows through time: by step and by lag, spectra, exponents, saturation, and a verdict."""

from throughtime.diagnosis.flow import GradientFlow as GradientFlow
from throughtime.diagnosis.flow import gradient_flow as gradient_flow

"""How the gradient flows through time: by step and by lag, spectra, exponents, saturation, and a verdict."""

from throughtime.diagnosis.saturation import activations_of as activations_of
from throughtime.diagnosis.saturation import units_of as units_of
from throughtime.diagnosis.suggestions import Suggestion as Suggestion
from throughtime.diagnosis.verdict import judge as judge

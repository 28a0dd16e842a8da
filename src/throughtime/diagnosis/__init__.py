"""Diagnosis of the gradient through time: by step and lag, spectra, exponents, saturation, a verdict."""

from throughtime.diagnosis.flossing import floss as floss
from throughtime.diagnosis.flossing import flossing_loss as flossing_loss
from throughtime.diagnosis.gradient_flow import GradientFlow as GradientFlow
from throughtime.diagnosis.gradient_flow import gradient_flow as gradient_flow
from throughtime.diagnosis.lyapunov import lyapunov_exponents as lyapunov_exponents
from throughtime.diagnosis.lyapunov import lyapunov_of as lyapunov_of
from throughtime.diagnosis.saturation import activations_of as activations_of
from throughtime.diagnosis.saturation import units_of as units_of
from throughtime.diagnosis.spectra import spectrum_of as spectrum_of
from throughtime.diagnosis.suggestions import Suggestion as Suggestion
from throughtime.diagnosis.transient import TransientGrowth as TransientGrowth
from throughtime.diagnosis.transient import transient_growth as transient_growth
from throughtime.diagnosis.verdict import judge as judge
from throughtime.records import Verdict as Verdict

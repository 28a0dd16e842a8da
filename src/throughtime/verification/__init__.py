"""Automatic differentiation against central differences, for any module or function."""

from throughtime.verification.report import ComparisonOutcome as ComparisonOutcome
from throughtime.verification.report import GradientCheck as GradientCheck
from throughtime.verification.report import Place as Place
from throughtime.verification.report import TensorCheck as TensorCheck
from throughtime.verification.verify import verify_gradients as verify_gradients

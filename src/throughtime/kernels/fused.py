"""Runner of affine cells in the compiled library, visible to whatever watches PyTorch's operators."""

from throughtime.kernels import operators
from throughtime.kernels.compiled import CompiledKernel
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.sequences.sequence import Sequence
from throughtime.torch_internals import operators_watched
from throughtime.types import Gradients, Parameters, Save


class FusedKernel(CompiledKernel):
    """Runner in the compiled library, on the CPU, in float32 and float64.

    It calls the library itself, which costs less, unless a tool sees or records PyTorch's operators: each pass is then
    an operator of PyTorch.
    """

    def forward(self, parameters: Parameters, sequence: Sequence, save: Save | None) -> Pass:
        if not operators_watched():
            return super().forward(parameters, sequence, save)
        return operators.forward(self, parameters, sequence, save)

    def backward(
        self, parameters: Parameters, sequence: Sequence, trace: Trace, cotangents: Cotangents, norms: StepNorms
    ) -> Gradients:
        if norms.tap is not None or not operators_watched():  # the operator measures no norms
            return super().backward(parameters, sequence, trace, cotangents, norms)
        return operators.backward(self, parameters, sequence, trace, cotangents, norms.clip_step)

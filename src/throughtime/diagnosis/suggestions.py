"""Templates of every suggestion that may follow a verdict."""

from enum import Enum

from throughtime.diagnosis.sentences import figure


class Suggestion(Enum):
    """Every suggestion, with placeholders for names and numbers."""

    ORTHOGONAL_START = (
        "Start from an orthogonal matrix, with torch.nn.init.orthogonal_({weight}): it keeps the norm of a "
        "gradient, and this gradient changes by a factor of {gain} per step."
    )
    IDENTITY_START = (
        "Start from {identity}, with torch.nn.init.eye_({weight}) (Le, Jaitly & Hinton 2015): "
        "it keeps the norm of a gradient, and this gradient changes by a factor of {gain} per step."
    )
    FORGET_BIAS = (
        "Let the {gate} keep the state for the {wanted} steps wanted from the start: half of its units now have a time "
        "constant of at most {kept} steps. {set} {part} of {bias} to {formula} = {start} and {other} to minus that "
        "(chrono initialisation, Tallec & Ollivier 2018)."
    )
    UPDATE_BIAS = (
        "Let the {gate} keep the state for the {wanted} steps wanted from the start: half of its units now have a time "
        "constant of at most {kept} steps. {set} {part} of {bias} to {formula} = {start} (after Tallec & Ollivier "
        "2018)."
    )
    GATES = (
        "Use gates, with throughtime.GRU or throughtime.LSTM: they can keep a state for the {wanted} steps wanted, "
        "where this layer keeps {left} of a gradient over {left_lag}."
    )
    CLIP_GROWTH = (
        "Clip every step of the backward recursion, with gradient=throughtime.BPTT(clip_step={threshold}): that is ten "
        "times the median norm with which the loss of a step enters, and the largest ‖∂L/∂s_t‖ is {largest}."
    )
    CLIP_PEAKS = (
        "Clip every step of the backward recursion, with gradient=throughtime.BPTT(clip_step={threshold}): that is "
        "the 90 % quantile over the steps of ‖∂L/∂s_t‖, whose largest is {largest}."
    )
    LONGER_HORIZON = (
        "If the task reaches further back than {end_lag}, take longer chunks (a longer x, or a larger "
        "update_every or horizon): at that lag, the longest measured, the gradient still has {end} of its norm."
    )
    LOWER_GAIN = (
        "Lower the gain: multiply {weight} by {factor}, which is exp(-λ1) for the measured λ1 = {exponent} per step. "
        "Where activations are saturated λ1 falls by less, so measure again."
    )
    LOWER_RADIUS = (
        "Lower the gain: multiply {weight} by {factor}, which brings its spectral radius from {radius} to 1: a large "
        "network of random weights is chaotic above that (Sompolinsky, Crisanti & Sommers 1988), less so the more its "
        "inputs drive it, so measure again."
    )
    SMALLER_INPUTS = (
        "Shrink the arguments of the activations: their root mean square is {preactivation}, and tanh is nearly flat "
        "beyond 2. Divide the inputs, or {weights}, by about {preactivation}."
    )
    FLOSSING = (
        "Floss before training, with throughtime.floss({arguments}) (Engelken 2023), where x is the input of that "
        "module: it moves λ1 = {exponent} per step towards 0."
    )
    DEAD_UNITS = (
        "Revive the dead units: {dead} of {units} never change. {start} biases above 0, with "
        "torch.nn.init.constant_({bias}, 0.1), and lower the learning rate if the units died in training."
    )
    CONNECT_LOSS = (
        "Connect the loss: ‖∂L/∂s_t‖ is 0 at every step of {steps}. Look for .detach(), torch.no_grad(), argmax, or a "
        "mask that is 0 everywhere between the output of {layer} and the loss."
    )
    LONGER_SEQUENCES = (
        "Give longer sequences: of {steps}, with a loss at the last, a diagnosis shows the lags up to T - 1 = {lags}."
    )
    READ_FINAL_STATE = (
        "Read the final state of {layer}, which the module returns beside its outputs, or its output at the first step "
        "of a row: at the last step this direction has read that step alone."
    )
    CHECK_INITIAL_STATE = (
        "Look at the state passed in as hx: row {row} of it is not finite. If the state is carried from one batch to "
        "the next, start it anew after a batch that went wrong."
    )
    CHECK_DATA = (
        "Look at the data: the input at {place} is not finite. Leave it out, replace it with torch.nan_to_num(x), or "
        "end the row before it with lengths."
    )
    LEARNING_RATE = (
        "Go back to the last checkpoint whose weights are finite, take a smaller learning rate (a third of it, say), "
        "and skip such updates with throughtime.clip_gradients(model, norm=…, nonfinite='skip'): {what}."
    )
    SMALLER_STATE = (
        "Keep the state small: it stopped being finite at {place}. Lower the recurrent gain, scale the "
        "inputs, or use a bounded activation (nonlinearity='tanh')."
    )
    CHECK_LOSS = (
        "Look at the loss, which is {loss}: a logarithm or a root of 0, a division by 0, or a target out of range; "
        "take log_softmax and cross entropy from logits."
    )
    CLIP_NON_FINITE = (
        "Clip every step of the backward recursion, with gradient=throughtime.BPTT(clip_step={threshold}): that is ten "
        "times the median norm with which the gradient enters, and it stopped being finite at {place}."
    )
    CHECK_DERIVATIVE = (
        "Look at the computation between {layer} and the loss: the gradient is not finite at {place} though it had not "
        "grown before. A root or a norm has an infinite derivative at 0, which a mask after it turns into NaN: add a "
        "small number under the root, or mask before it."
    )

    def of(self, **numbers: float | int | str) -> str:
        """Fill in names and numbers, with three digits."""
        return self.value.format(**{name: figure(number) for name, number in numbers.items()})

"""Every sentence of a page, as templates, so that they can be tested."""

from enum import Enum


class LookFor(Enum):
    """What to look for in an exhibit."""

    LOSSES = (
        "Both curves should fall, and the validation curve go below the bigram line: only then does the model use more "
        "than the last symbol. A training curve that falls on while validation rises is overfitting."
    )
    STREAM_LOSSES = (
        "Each byte is predicted before it is learned, so this is a loss on unseen text. It should go below the lines "
        "of counting single bytes and pairs, which learn from the same stream."
    )
    BY_STEP = (
        "The total gradient that reaches the state at each step, on a logarithmic scale. A fall towards the left means "
        "that early steps hardly learn, a rise that the gradient explodes on its way back. Where every step has a loss "
        "of its own, as in a text, the nearest losses keep the curve level: how far they reach is in “By lag”."
    )
    BY_LAG = (
        "How much is left of the gradient of one step's loss after so many steps back; 1 at lag 0. Bands hold the "
        "middle 50 % and 90 % of the samples. Crosses mark where the median has fallen to 1/e and to 1 % for good, "
        "with 90 % confidence. What lies to the right of them is learned from hardly at all."
    )
    OVER_TRAINING = (
        "One column an update, one row a step of the chunk; bright is a large gradient. Dark rows that stay dark are "
        "steps that never learn; bright single columns are updates that clipping had to hold."
    )
    GAINS = (
        "How much a change of the state at one step (across) changes that at a later one (up); 1 on the diagonal. "
        "Look how far from the diagonal the colour lasts: that is the memory the weights allow, whatever the loss."
    )
    SHARES = (
        "How much of the recurrent weights' gradient comes by way of each band of lags, in % of the sum of the bands' "
        "norms. Where everything is in the first bars, weights are learned from the near past only."
    )
    EIGENVALUES = (
        "Inside the unit circle directions are lost, outside they grow. Filled dots are the last diagnosis, hollow "
        "ones the first. The weights alone mislead for a gated cell or large states: the Jacobians decide."
    )
    POWERS = (
        "‖Wᵏ‖ of each block of recurrent weights. A hill before the fall is transient growth, which eigenvalues do not "
        "show: a non-normal matrix whose eigenvalues all lie inside the circle can still explode for a while. In a "
        "gated cell the gates decide how much of this is felt: the Lyapunov exponents tell."
    )
    LYAPUNOV = (
        "Mean logarithmic growth per step along the trajectory, largest first, with standard errors. 0 keeps, below 0 "
        "forgets within about −1/λ steps, above 0 is chaos, where gradients explode."
    )
    SATURATION = (
        "The share of values that stand within a twentieth of the range of either end. A saturated content activation "
        "passes no gradient; a gate that is always shut or always open has stopped deciding."
    )
    HISTOGRAMS = (
        "All steps, rows and units together. Gates should use their range; content piled up at both ends is saturated."
    )
    TIME_CONSTANTS = (
        "For how many steps the units keep what they hold: the dot is the median unit, the thick line the middle 50 %, "
        "the thin one the middle 90 %. A task with longer lags than the longest of them is out of reach."
    )
    STATES = (
        "The size of the state step by step. It should settle; what grows to the end of the chunk is not stable when "
        "the state is carried on."
    )
    CLIPPING = (
        "The gradient's norm of each update before clipping; crosses are updates that were rescaled. Clipping should "
        "catch the peaks; where most updates are clipped, the threshold acts as a learning rate."
    )


class Absent(Enum):
    """What stands in the place of something that is not there."""

    NO_VALUES = "There are no values to show."
    NOT_FINITE = "No value is finite, so there is nothing to draw."
    ALL_ZERO = "Every value is zero, which a logarithmic scale cannot show."
    NOT_ASKED = "The diagnosis holds no such numbers for {layer}."
    NO_VALIDATION = "There is no validation yet: metrics.csv comes with the first one."
    NO_DIAGNOSIS = (
        "diagnosis.json is missing, so nothing is known here of how the gradient flows through time. To make it: {way}"
    )
    NO_UPDATES = (
        "updates.csv is missing: the updates of this run were not recorded one by one. A new run records them: {way}"
    )
    NO_STEP_NORMS = (
        "step_norms.csv is missing: the gradients by step were not recorded in training. A new run records them: {way}"
    )
    NO_LAYERS = "The model has no recurrent layer, so there is no gradient through time to look at."
    STREAM = "An online run keeps no tables of single updates and of the gradient by step, so these are not shown."
    NO_FINDING = "This diagnosis came to no verdict."
    NOT_SQUARE = "{block} is not square, so it has no eigenvalues; its singular values are in the table."


class Says(Enum):
    """Statements with numbers."""

    RUN = (
        "{cell} with {layers} of {hidden}, {parameters} parameters, after {updates} on {file}: {outcome}, "
        "{seconds:.0f} s of training."
    )
    DIAGNOSED = "How the gradient flows through time in {what}{update}; measured in {seconds:.1f} s."
    NO_RESULT = "No loss has been measured yet."
    VALIDATION = "Best validation: {figures}: {meaning}."
    STREAM = "Latest bytes of the stream: {figures}: {meaning}."
    FLOW = "One batch of {rows} and {steps}, loss {loss}; the gradient is wanted {wanted} back."
    NON_FINITE = "The first value that is not finite is in the {source}: {place}."
    MINUS_INFINITY = "Lost at once, with an exponent of −∞: {count} of {all} directions."
    REVERSE = "Steps of a reverse layer are counted in the order in which it runs, from the end of the sequence."
    HELD = "{layer}: per-step clipping took hold at {share} of the steps, so this is not the exact gradient."
    NONE_DEAD = "Every unit changes; none is dead."
    DEAD = "{layer}: {dead} of {units} never change."
    CLIPPED = "{share} of the updates were rescaled, {skipped}."
    CLIPPED_STEPS = "Per-step clipping took hold at {share} of the steps."
    WITHOUT_GRADIENT = "{count} came without a finite gradient."


class FigureName(Enum):
    """What the figures of a verdict are, by the upper case of their names there; shares of the gradient at lag 0."""

    WANTED_LAG = "steps back that are wanted"
    PEAK = "gradient at its peak (1: as at lag 0)"
    PEAK_LAG = "… at this lag (steps)"
    END = "what is left of it at the last lag (1: all)"
    END_LAG = "… at this lag (steps)"
    AT_WANTED_LAG = "what is left at the wanted lag (1: all)"
    SAMPLES = "samples of the gradient"
    HORIZON = "lag at which 1 % is left (steps)"
    HORIZON_LOW = "… at least, with 90 % confidence (steps)"
    HORIZON_HIGH = "… at most (steps)"
    LYAPUNOV = "largest Lyapunov exponent λ₁ (per step)"
    LYAPUNOV_ERROR = "… its standard error (per step)"
    STATE_GROWTH = "size of the state, second half over first"
    SATURATED = "share of the content that is saturated (1: all)"
    TIME_CONSTANT = "median time constant (steps)"
    STEP = "step, counted from 0"
    ROW = "row, counted from 0"
    LOSS = "loss"


def why_empty(values: list[float]) -> str:
    """Why a logarithmic axis would stay empty."""
    if not values:
        return Absent.NO_VALUES.value
    if all(value == 0 for value in values):
        return Absent.ALL_ZERO.value
    return Absent.NOT_FINITE.value

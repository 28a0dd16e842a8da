"""Templates of every sentence of a page."""

from enum import Enum


class LookFor(Enum):
    """Advice on reading an exhibit."""

    LOSSES = (
        "Both curves should fall, and the validation curve go below the bigram line: only then does the model use more "
        "than the last symbol. A training curve that falls on while validation rises is overfitting."
    )
    STREAM_LOSSES = (
        "Each byte is predicted before it is learned, so this is a loss on unseen text. It should go below the lines "
        "of counting single bytes and pairs, which learn from the same stream."
    )
    OTHER_LOSSES = (
        "Both curves should fall, and the validation curve go below the lines of the naive predictions. A training "
        "curve that falls on while validation rises is overfitting."
    )
    OTHER_STREAM_LOSSES = (
        "Each target is predicted before it is learned, so this is a loss on unseen data. It should go below the lines "
        "of the naive predictions, which see the same stream."
    )
    BY_STEP = (
        "The total gradient that reaches the state at each step, on a logarithmic scale. A fall towards the left means "
        "that early steps hardly learn, a rise that the gradient explodes on its way back. Where every step has a loss "
        "of its own, as in a text, the nearest losses keep the curve level: how far they reach is in “By lag”."
    )
    BY_LAG = (
        "The gradient of a single step's loss, k steps further back, as a ratio to lag 0. Bands hold the middle 50 % "
        "and 90 % of the samples. Crosses mark where the median has fallen to 1/e and to 1 % for good, with 90 % "
        "confidence. Inputs further back than the crosses hardly change the weights."
    )
    OVER_TRAINING = (
        "Each column is an update, each row a step of the chunk; bright is a large gradient. Rows that stay dark are "
        "steps from which nothing is learned; single bright columns are updates that were clipped."
    )
    GAINS = (
        "How much a change of the state at a step (across) changes the state at a later step (up); 1 on the diagonal. "
        "The distance from the diagonal to which the colour lasts is the memory that the weights allow, for any loss."
    )
    SHARES = (
        "The part of the recurrent weights' gradient by way of each band of lags, in % of the sum of the bands' norms. "
        "If everything is in the first bars, the weights are learned from the near past only."
    )
    EIGENVALUES = (
        "Inside the unit circle directions are lost, outside they grow. Filled dots are the last diagnosis, hollow "
        "dots the first. The weights alone mislead for a gated cell or large states: the Jacobians decide."
    )
    POWERS = (
        "‖Wᵏ‖ of each block of recurrent weights. A hill before the fall is transient growth, which eigenvalues do not "
        "show: a non-normal matrix whose eigenvalues all lie inside the circle can still explode for a while. In a "
        "gated cell the gates decide how much of this acts: the Lyapunov exponents show it."
    )
    LYAPUNOV = (
        "Mean logarithmic growth per step along the trajectory, largest first, with standard errors. A direction with "
        "λ = 0 is kept, with λ < 0 it is forgotten within about −1/λ steps; λ > 0 is chaos, where gradients explode."
    )
    SATURATION = (
        "The share of values within a twentieth of the range from either end. A saturated content activation passes "
        "hardly any gradient; a gate that is always shut or always open no longer depends on the input."
    )
    HISTOGRAMS = (
        "All steps, rows and units together. Gates should use their range; content piled up at both ends is saturated."
    )
    TIME_CONSTANTS = (
        "The number of steps for which the units keep their state: the dot is the median unit, the thick line the "
        "middle 50 %, the thin line the middle 90 %. Lags beyond the longest time constant are out of reach."
    )
    STATES = (
        "The size of the state step by step. It should settle; a size that grows to the end of the chunk keeps growing "
        "when the state is carried on."
    )
    CONFUSION = (
        "Each row is a class that came, each column a class that was predicted; colours are shares of the row. "
        "Everything off the diagonal is wrong. Two classes that are taken for each other look alike to the model; a "
        "column that is bright throughout is a class that it guesses."
    )
    CALIBRATION = (
        "Of all predictions with a probability of 0.8, about 0.8 should be right: the points should lie on the "
        "diagonal. Below it the model is too sure of itself, above it too cautious. The bars show how many predictions "
        "have such a probability; where they are few, the interval is wide and the point says little."
    )
    SCATTER = (
        "The dots should lie on the diagonal. A flatter cloud means that the model stays near the mean; a bend, "
        "that it misses a range. The residuals should lie around 0: a shift is an error that is always made."
    )
    FANS = (
        "The solid line, the values that came, should stay in a band as often as its share says, and near the dashed "
        "median. Bands should widen with the steps ahead, and no more than they must."
    )
    ERRORS_BY = (
        "How the error differs. A curve that is high for a few entries alone points to data that are unlike the "
        "others, or wrong; the table names them."
    )
    CLIPPING = (
        "The gradient's norm of each update before clipping; crosses are updates that were rescaled. Clipping should "
        "catch the peaks; where most updates are clipped, the threshold acts as a learning rate."
    )


class Absent(Enum):
    """Sentences in the place of records and figures that are missing."""

    NO_VALUES = "No values to show."
    NOT_FINITE = "No value is finite, so there is nothing to draw."
    ALL_ZERO = "Every value is zero, which a logarithmic scale cannot show."
    NOT_ASKED = "The diagnosis holds no such numbers for {layer}."
    NO_VALIDATION = "No validation yet: the first validation writes metrics.csv."
    NO_DIAGNOSIS = "diagnosis.json is missing, so the flow of the gradient through time is not known. Reproduce: {way}"
    NO_UPDATES = (
        "updates.csv is missing: the updates of this run were not recorded one by one. A new run records them: {way}"
    )
    NO_STEP_NORMS = (
        "step_norms.csv is missing: the gradients by step were not recorded in training. A new run records them: {way}"
    )
    OUTDATED = (
        "The run has gone on since its predictions were examined, so they are not shown: they come when the training "
        "ends. Go on: {way}"
    )
    NO_LAYERS = "The model has no recurrent layer, so there is no gradient through time to look at."
    STREAM = "An online run keeps no tables of single updates and of the gradient by step, so these are not shown."
    NO_FINDING = "This diagnosis came to no verdict."
    NOT_SQUARE = "{block} is not square, so it has no eigenvalues; its singular values are in the table."


class Says(Enum):
    """Sentences with numbers."""

    RUN = (
        "{cell} with {layers} of {hidden}, {parameters} parameters, after {updates} on {file}: {outcome}, "
        "{seconds:.0f} s of training."
    )
    DIAGNOSED = "How the gradient flows through time in {what}{update}; measured in {seconds:.1f} s."
    NO_RESULT = "No loss has been measured yet."
    VALIDATION = "{answer}. Best validation: {figures}: {meaning}."
    STREAM = "{answer}. Latest bytes of the stream: {figures}: {meaning}."
    METRIC = "{name}: {value}."
    METRIC_BESIDE = "{name}: {value}. Naive predictions: {beside}."
    FLOW = (
        "Measured on one batch of {rows} and {steps}, with loss {loss}. The verdict asks whether the gradient still "
        "arrives {wanted} back."
    )
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
    """Labels of a verdict's figures, by their names in upper case. A gradient is a share of that at lag 0."""

    WANTED_LAG = "wanted lag, over which the gradient should last (steps)"
    PEAK = "gradient at its peak, as a ratio to lag 0"
    PEAK_LAG = "… lag of the peak (steps)"
    END = "gradient at the last measured lag, as a ratio to lag 0"
    END_LAG = "… the last measured lag (steps)"
    AT_WANTED_LAG = "gradient at the wanted lag, as a ratio to lag 0"
    SAMPLES = "samples of the gradient"
    HORIZON = "lag at which 1 % of the gradient is left (steps)"
    HORIZON_LOW = "… at least, with 90 % confidence (steps)"
    HORIZON_HIGH = "… at most (steps)"
    LYAPUNOV = "largest Lyapunov exponent λ₁ (per step)"
    LYAPUNOV_ERROR = "… its standard error (per step)"
    STATE_GROWTH = "size of the state, second half over first"
    SATURATED = "share of the content that is saturated (1: all)"
    TIME_CONSTANT = "median time constant (steps)"
    USED = "steps of the past that the predictions use"
    MISSED = "by how much unused inputs further back would lower the loss"
    MISSED_ERROR = "… its standard error"
    MISSED_LAG = "… the lag of these inputs (steps)"
    BETTER_WITHOUT = "steps of the past with which the loss is lower"
    TARGETS = "predictions that were made again with a shorter past"
    STEP = "step, counted from 0"
    ROW = "row, counted from 0"
    LOSS = "loss"


def why_empty(values: list[float]) -> str:
    """Return the sentence on a logarithmic axis that would stay empty."""
    if not values:
        return Absent.NO_VALUES.value
    if all(value == 0 for value in values):
        return Absent.ALL_ZERO.value
    return Absent.NOT_FINITE.value

"""Learning from a stream, one step at a time."""

from throughtime.online.learner import OnlineLearner as OnlineLearner
from throughtime.online.learner import OnlineStep as OnlineStep

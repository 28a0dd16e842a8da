"""Learning from a stream, step by step."""

from throughtime.online.learner import OnlineLearner as OnlineLearner
from throughtime.online.learner import OnlineStep as OnlineStep

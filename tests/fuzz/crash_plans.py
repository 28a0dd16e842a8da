"""A plan that does what no layer may do, to show that the worker sees it."""

import ctypes
import time
from dataclasses import dataclass
from typing import Any

import torch
from fuzz.forms import guarded


@dataclass(frozen=True)
class CrashPlan:
    """A read of one byte beyond a guarded tensor, or before one; "sleep" for longer than a plan may take."""

    how: str


def verdict(plan: CrashPlan, stage: Any) -> str:
    if plan.how == "sleep":
        time.sleep(3600)
    tensor = guarded(torch.ones(5), at_end=plan.how == "beyond")
    ctypes.string_at(tensor.data_ptr() + (tensor.nbytes if plan.how == "beyond" else -1), 1)
    return "the byte was read"

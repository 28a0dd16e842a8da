"""A recurrence computes in its parameters' precision: rounding errors made at every step would add up over time."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocasts(device: torch.device) -> bool:
    """Whether torch.autocast is on for this device."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which it is off."""
    return torch.autocast(device.type, enabled=False) if autocasts(device) else nullcontext()

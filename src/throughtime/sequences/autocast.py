"""Switch mixed precision off inside recurrences.

The rounding errors of all steps would add up.
"""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocasts(device: torch.device) -> bool:
    """Return whether torch.autocast is on for a device."""
    kind = device.type
    return (kind == "cpu" or torch.amp.is_autocast_available(kind)) and torch.is_autocast_enabled(kind)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Return a context in which torch.autocast is off for a device."""
    return torch.autocast(device.type, enabled=False) if autocasts(device) else nullcontext()

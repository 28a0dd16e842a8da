"""Pictures of the report, drawn once for each content: drawing takes nine tenths of a command that reads a run."""

import hashlib
import io
import pickle
import types

from throughtime.report import page


class _Content(pickle.Pickler):
    """Bytes that are equal only where all that a function reads is: its code, what it closes over, its defaults."""

    def reducer_override(self, value):
        if isinstance(value, types.FunctionType):
            kept = tuple(cell.cell_contents for cell in value.__closure__ or ())
            return tuple, ((value.__module__, value.__qualname__, value.__code__.co_code, kept, value.__defaults__),)
        return NotImplemented


def content_of(panel, prefix):
    """A fingerprint of everything that the picture of a panel shows."""
    content = io.BytesIO()
    _Content(content).dump((panel.size, panel.keys, panel.bar, panel.alt, panel.draw, prefix))
    return hashlib.sha256(content.getvalue()).digest()


def remember(patch):
    """Let the page take a picture from memory if it drew the same before."""
    drawn, draw = {}, page._picture

    def picture(panel, prefix):
        content = content_of(panel, prefix)
        if content not in drawn:
            drawn[content] = draw(panel, prefix)
        return drawn[content]

    patch.setattr(page, "_picture", picture)

import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, T
from layers.comparison import normal
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import throughtime as tt
from throughtime.diagnosis.layout import OutputLayout

LENGTHS = torch.tensor([3, T, 1, 6])


def _call(form: str):
    rnn, x = tt.RNN(INPUT, H, 2, batch_first=form == "batch_first", dtype=torch.float64), normal(1, T, B, INPUT)
    if form == "packed":
        y, final = rnn(pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
        return y, final, pad_packed_sequence(y)[0][:, y.sorted_indices]
    given = {"batch_first": x.transpose(0, 1), "unbatched": x[:, 0], "": x}[form]
    y, final = rnn(given)
    return y, final, {"batch_first": y.transpose(0, 1), "unbatched": y[:, None], "": y}[form]


@pytest.mark.parametrize("form", ["", "batch_first", "unbatched", "packed"])
def test_steps_and_rows_are_found_in_every_form(form):
    y, final, padded = _call(form)
    layout = OutputLayout.of(y, form == "batch_first")
    rows = 1 if form == "unbatched" else B
    assert (layout.steps, layout.rows) == (T, rows)
    data = y.data if isinstance(y, PackedSequence) else y
    assert torch.equal(layout.by_step(data), padded)
    chosen = torch.zeros(T, rows, dtype=torch.bool)
    chosen[2, 0] = chosen[5, rows - 3 if rows > 1 else 0] = True
    kept = layout.by_step(torch.where(layout.for_outputs(chosen), data, 0))
    assert torch.equal(kept, torch.where(chosen[..., None], padded, 0)) and kept.any()
    of_rows = layout.by_row(final)
    assert of_rows.shape == (2, rows, H)
    lasts = [T] * rows if form != "packed" else LENGTHS[y.sorted_indices].tolist()
    for row, last in enumerate(lasts):
        assert torch.equal(of_rows[1, row], padded[last - 1, row])
    mask = torch.zeros(2, rows, dtype=torch.bool)
    mask[1, rows - 1] = True
    assert torch.equal(layout.by_row(torch.where(layout.for_finals(mask), final, 0)), of_rows * mask[..., None])
    order = [1, 3, 0, 2] if form == "packed" else list(range(rows))
    assert [layout.row_of(row) for row in range(rows)] == order

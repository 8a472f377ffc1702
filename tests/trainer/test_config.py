"""Training settings are checked before anything heavy is loaded."""

import pytest

from contract.errors import UserError
from trainer.config import TrainConfig


def test_all_values_out_of_range_are_named_at_once() -> None:
    with pytest.raises(UserError) as raised:
        TrainConfig(
            data=("d",), run="r", epochs=0, learning_rate=0.0, lora_dropout=1.0, max_steps=0, max_length=100,
            tokens_per_step=16_384,
            resume=True, overwrite=True,
        )  # fmt: skip

    message = str(raised.value)
    for part in (
        "epochs = 0, expected at least 1",
        "max_steps = 0, expected at least 1",
        "learning_rate = 0.0, expected above 0",
        "lora_dropout = 1.0, expected at least 0 and below 1",
        "tokens_per_step = 16384, expected a multiple of max_length = 100",
        "resume and overwrite exclude each other",
    ):
        assert part in message

"""What a machine lacks is reported before a run starts."""

import pytest
import torch

from contract.errors import UserError
from trainer.start import check_gpus


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch can use the GPUs of this machine")
def test_gpus_that_pytorch_cannot_use_are_the_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_gpus()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(UserError, match=r"has 1 GPU\(s\) that PyTorch .* cannot use: .*; update the driver, .* --cpu"):
        check_gpus()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    check_gpus()

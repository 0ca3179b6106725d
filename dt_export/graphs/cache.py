"""Writing new tokens into a cache: a module of its own, so that a target can swap it."""

import torch
from torch import Tensor, nn


class CacheWrite(nn.Module):
    """A copy of a cache with new tokens in it, in plain PyTorch."""

    def forward(self, cache: Tensor, indices: Tensor, new: Tensor) -> Tensor:
        """The cache with ``new`` [M, D] at ``indices`` [M, 3] of its first three axes."""
        return torch.index_put(cache, indices.unbind(1), new)

"""The transformer alone, with keys and values: transformers' DecisionTransformerGPT2Model.

For those who embed their own tokens and keep their own cache. Unlike in the Decision Transformer,
where every position is 0, the caller says which row of the position table a token gets.

Shapes: B batch, L new tokens, P cached tokens, H hidden size, N heads, D = H / N.
"""

from typing import cast

import torch
from torch import Tensor, nn

from dt_export.models.decision_transformer import Block, ModelConfig, causal_mask

OUTPUTS = ("last_hidden_state", "present_keys", "present_values")


class Backbone(nn.Module):
    """Blocks over embeddings; no cache is a cache of length 0."""

    def __init__(self, config: ModelConfig, positions: int):
        super().__init__()
        self.config, self.positions = config, positions
        self.wpe = nn.Embedding(positions, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)

    def forward(
        self,
        inputs_embeds: Tensor,  # [B, L, H]
        attention_mask: Tensor,  # [B, P + L] int64, 1 for a real token and 0 for padding
        position_ids: Tensor,  # [B, L] int64
        past_keys: Tensor,  # [layers, B, N, P, D]
        past_values: Tensor,  # [layers, B, N, P, D]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """last_hidden_state [B, L, H], present_keys and present_values [layers, B, N, P + L, D]."""
        x = inputs_embeds + self.wpe(position_ids)
        cached = attention_mask.shape[1] - inputs_embeds.shape[1]
        mask = causal_mask(attention_mask != 0, x.dtype, cached)
        keys, values = [], []
        blocks = cast(list[Block], list(self.blocks))  # a ModuleList forgets their type
        for layer, block in enumerate(blocks):
            query, key, value = block.attn.project(block.attention_input(x))
            keys.append(torch.cat((past_keys[layer], key), dim=2))
            values.append(torch.cat((past_values[layer], value), dim=2))
            attended, _ = block.attn.attend(query, keys[-1], values[-1], mask)
            x = block.after_attention(x, attended)
        return self.ln_f(x), torch.stack(keys), torch.stack(values)

"""What only some dialects have: bounds, scales, frames, discrete actions, Gaussian heads."""

import torch

from mutations import breaking
from mutations.breaking import config, facts, facts_of, model
from mutations.good import Good
from mutations.mutant import Mutant

NUMBERS = ("numbers",)
SAMPLE = (("sample", True),)
ALL = (("outputs", ("all",)),)


def script(model: str, graph: str = "policy", options=()) -> Good:
    return Good("torchscript", graph, model, options=options)


def times(parameter, factor: float = 1.001) -> None:
    parameter.mul_(factor)


def rolled(parameter, by: int = 1) -> None:
    parameter.copy_(parameter.roll(by, 0))


def biases(part) -> list:
    return [parameter for parameter in part.parameters() if parameter.ndim == 1]


def swap_heads(m) -> None:
    """The first and the second head's queries change places."""
    qkv, size = m.blocks[0].attn.qkv, m.config.head_size
    rows = torch.cat((qkv.weight[size : 2 * size], qkv.weight[:size]))
    qkv.weight[: 2 * size] = rows.clone()


def without_position(checkpoint):
    """The row of wpe that every token gets is left out."""
    import copy
    from dataclasses import replace

    from safetensors.torch import load_file

    (file,) = checkpoint.path.glob("*.safetensors")
    other = copy.deepcopy(checkpoint.model)
    with torch.no_grad():
        other.tokens.embed_ln.bias.sub_(load_file(file)["encoder.wpe.weight"][0])
    return replace(checkpoint, model=other)


MUTANTS = (
    # huggingface
    Mutant("wpe[0] dropped", script("hopper"), NUMBERS, breaking.checkpoint(without_position)),
    Mutant("wpe[0] dropped", script("huggingface"), NUMBERS, breaking.checkpoint(without_position)),
    Mutant("attention not scaled", script("huggingface"), ("numbers", "attention"),
           config(scale_attn_weights=False)),
    Mutant("attention scaled by its layer", script("huggingface", "step"),
           ("numbers", "attention"), config(scale_attn_by_inverse_layer_idx=True)),
    Mutant("two heads swapped", script("huggingface", "step"), ("numbers", "attention"),
           model(swap_heads)),
    Mutant("one head for two", script("huggingface", "sequence"), NUMBERS, config(n_head=1)),
    Mutant("tanh where there is none", script("huggingface unbounded"), NUMBERS,
           config(action_tanh=True)),
    Mutant("the head of states off by 0.1 %", script("hopper", "sequence"), ("outputs",),
           model(lambda m: times(m.predict_state.weight)), words="state_preds"),
    Mutant("two rows of the head of states swapped", script("hopper", "sequence"), ("outputs",),
           model(lambda m: m.predict_state.weight.copy_(m.predict_state.weight.roll(1, 0)))),
    Mutant("the head of returns off by 0.1 %", script("huggingface", "sequence"), ("outputs",),
           model(lambda m: times(m.predict_return.weight)), words="return_preds"),
    # kzl
    Mutant("no bounds", script("kzl bounded"), ("numbers", "extreme", "attention"),
           facts(action_low=None, action_high=None)),
    Mutant("bounds of 0.85", script("kzl bounded", "step"), ("numbers", "extreme", "attention"),
           facts(action_low=(-0.85, -0.5), action_high=(0.7, 0.85))),
    Mutant("GELU by erf for GELU by tanh", script("kzl bounded"), NUMBERS,
           config(activation="gelu")),
    Mutant("statistics never used", script("kzl"), NUMBERS,
           facts(state_mean=None, state_std=None)),
    Mutant("choices in another order", script("kzl discrete"), NUMBERS,
           model(lambda m: (rolled(m.predict_action.weight), rolled(m.predict_action.bias)))),
    Mutant("past choices off by one", script("kzl discrete", "step"), ("attention",),
           model(lambda m: m.tokens.embed_action.weight.copy_(
               m.tokens.embed_action.weight.roll(1, 1)))),
    # online-dt
    Mutant("the mean of the Gaussian without its bias", script("online-dt", "policy", SAMPLE),
           NUMBERS, model(lambda m: m.predict_action.bias.zero_())),
    Mutant("bounds of log_std from -20", script("online-dt", "policy", SAMPLE), ("outputs",),
           config(log_std_bounds=(-20.0, 2.0)), words="log_std"),
    Mutant("GELU by tanh for GELU by erf", script("online-dt ordering"), NUMBERS,
           config(activation="gelu_new")),
    Mutant("the ordering is not added", script("online-dt ordering", "step"), NUMBERS,
           model(lambda m: m.tokens.embed_timestep.weight.zero_())),
    # corl
    Mutant("largest action off by 0.1 %", script("corl"), ("factor",), config(action_scale=1.5015)),
    Mutant("largest action of 1", script("corl", "step"), ("factor",), config(action_scale=1.0)),
    # min-dt
    Mutant("ReLU for GELU", script("min-dt"), NUMBERS, config(activation="relu")),
    Mutant("norms before, not after", script("min-dt", "step"), NUMBERS, config(norm_first=True)),
    # atari
    Mutant("frames divided by 256", script("atari"), NUMBERS, config(frame_scale=256.0)),
    Mutant("frames not divided", script("atari"), NUMBERS, config(frame_scale=1.0)),
    Mutant("frames of a stack in reverse", script("atari"), NUMBERS,
           model(lambda m: m.tokens.embed_state.layers[0].weight.copy_(
               m.tokens.embed_state.layers[0].weight.flip(1)))),
    Mutant("a bias of a convolution off by 0.1 %", script("atari"), NUMBERS,
           model(lambda m: times(m.tokens.embed_state.layers[0].bias))),
    Mutant("positions of tokens off by one", script("atari naive"), NUMBERS,
           model(lambda m: rolled(m.tokens.positions.tokens))),
    Mutant("the position of the window off by one", script("atari"), NUMBERS,
           model(lambda m: rolled(m.tokens.positions.steps.weight))),
    Mutant("no activation of tokens", script("atari"), NUMBERS, config(token_activation=None)),
    # d3rlpy
    Mutant("actions scaled by 0.1 % more", script("d3rlpy"), ("numbers", "factor"),
           facts_of(lambda f: dict(action_scale=tuple(s * 1.001 for s in f.action_scale)))),
    Mutant("no action offset", script("d3rlpy"), NUMBERS,
           facts_of(lambda f: dict(action_offset=(0.0,) * len(f.action_offset)))),
    Mutant("places from the end off by one", script("d3rlpy global"), NUMBERS,
           model(lambda m: rolled(m.tokens.embed_timestep.from_end))),
    Mutant("epsilon of 1e-5 for 3e-3", script("d3rlpy"), NUMBERS, config(layer_norm_epsilon=1e-5)),
    Mutant("the encoder's last bias off by 0.1 %", script("d3rlpy discrete"), NUMBERS,
           model(lambda m: times(biases(m.tokens.embed_state)[-1]))),
    Mutant("deviations without their epsilon", script("d3rlpy"), NUMBERS,
           facts_of(lambda f: dict(state_std=tuple(s - 0.001 for s in f.state_std)))),
)  # fmt: skip

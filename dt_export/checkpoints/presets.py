"""Checkpoints by name: where the weights are, and the facts that stand only in model cards.

Statistics of the six published policies: model cards of
edbeeching/decision-transformer-gym-* (walker2d-expert: a secondary source). Targets and scale:
kzl/decision-transformer, gym/experiment.py.
"""

from dataclasses import dataclass
from pathlib import Path

from dt_export.facts import Facts

BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class Preset:
    source: str  # a Hugging Face id, or "bundled"
    facts: Facts = Facts()

    @property
    def bundled(self) -> bool:
        return self.source == "bundled"


def _published(robot: str, level: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Preset:
    facts = Facts(
        context_length=20,
        return_scale=1000.0,
        state_mean=mean,
        state_std=std,
        target_returns=TARGETS[robot],
        environment=ENVIRONMENTS[robot],
    )
    return Preset(f"edbeeching/decision-transformer-gym-{robot}-{level}", facts)


TARGETS = {
    "hopper": (3600.0, 1800.0),
    "halfcheetah": (12000.0, 6000.0),
    "walker2d": (5000.0, 2500.0),
}
ENVIRONMENTS = {
    "hopper": "Hopper-v5",
    "halfcheetah": "HalfCheetah-v5",
    "walker2d": "Walker2d-v5",
}

# fmt: off
PRESETS = {
    "hopper": Preset("bundled"),  # samples/train_hopper.py; its facts stand in its policy.json
    "hopper-medium": _published(
        "hopper", "medium",
        (1.311279, -0.08469521, -0.5382719, -0.07201576, 0.04932366, 2.1066856, -0.15017354,
         0.00878345, -0.2848186, -0.18540096, -0.28461286),
        (0.17790751, 0.05444621, 0.21297139, 0.14530419, 0.6124444, 0.85174465, 1.4515252,
         0.6751696, 1.536239, 1.6160746, 5.6072536),
    ),
    "hopper-expert": _published(
        "hopper", "expert",
        (1.3490015, -0.11208222, -0.5506444, -0.13188992, -0.00378754, 2.6071432, 0.02322114,
         -0.01626922, -0.06840388, -0.05183131, 0.04272673),
        (0.15980862, 0.0446214, 0.14307782, 0.17629202, 0.5912333, 0.5899924, 1.5405099,
         0.8152689, 2.0173461, 2.4107876, 5.8440027),
    ),
    "halfcheetah-medium": _published(
        "halfcheetah", "medium",
        (-0.06845774, 0.01641455, -0.18354906, -0.27624607, -0.34061527, -0.09339716,
         -0.21321271, -0.08774239, 5.1730075, -0.04275195, -0.03610836, 0.14053793, 0.06049833,
         0.09550975, 0.067391, 0.00562739, 0.01338279),
        (0.07472999, 0.30234998, 0.3020731, 0.34417078, 0.17619242, 0.5072056, 0.25670078,
         0.32948127, 1.2574149, 0.7600542, 1.9800916, 6.5653625, 7.4663677, 4.472223, 10.566964,
         5.6719327, 7.498259),
    ),
    "halfcheetah-expert": _published(
        "halfcheetah", "expert",
        (-0.04489148, 0.03232588, 0.06034835, -0.17081226, -0.19480659, -0.05751596, 0.09701628,
         0.03239211, 11.047426, -0.07997331, -0.32363534, 0.36297753, 0.42322603, 0.40836546,
         1.1085187, -0.4874403, -0.0737481),
        (0.04002118, 0.4107858, 0.54217845, 0.41522816, 0.23796624, 0.62036866, 0.30100912,
         0.21737163, 2.2105937, 0.572586, 1.7255033, 11.844218, 12.06324, 7.0495934, 13.499867,
         7.195647, 5.0264325),
    ),
    "walker2d-medium": _published(
        "walker2d", "medium",
        (1.218966, 0.14163373, -0.03704914, -0.1381431, 0.51382244, -0.0471911, -0.47288352,
         0.04225416, 2.3948874, -0.03143199, 0.04466356, -0.02390724, -0.10134014, 0.09090938,
         -0.00419264, -0.12120572, -0.5497064),
        (0.12311358, 0.324188, 0.11456084, 0.26230657, 0.5640279, 0.22718786, 0.38373196,
         0.7373677, 1.2387927, 0.7980206, 1.5664079, 1.8092705, 3.0256042, 4.062486, 1.4586568,
         3.744569, 5.585129),
    ),
    "walker2d-expert": _published(
        "walker2d", "expert",
        (1.2384834, 0.19578537, -0.10475016, -0.18579608, 0.23003316, 0.022800924, -0.37383768,
         0.337791, 3.925096, -0.0047428459, 0.025267061, -0.0039287535, -0.01736751,
         -0.48212224, 0.00035432147, -0.0037124525, 0.0026285544),
        (0.06664903, 0.16980624, 0.17309439, 0.21843709, 0.74599105, 0.02410989, 0.3729872,
         0.6226182, 0.9708009, 0.72936815, 1.504065, 2.495893, 3.511518, 5.3656907, 0.79503316,
         4.317483, 6.1784487),
    ),
}
# fmt: on

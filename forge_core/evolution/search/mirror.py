"""Mirror images of rules: the short counterpart of a long rule."""

from dataclasses import replace
from functools import cache

from forge_core.features.reference import FeatureRef
from forge_core.features.registry import column_scale, get_feature
from forge_core.features.scale import Scale
from forge_core.plays.model import Compare, Comparison, Group, Rule, Trend

_FLIPPED: dict[Comparison, Comparison] = {
    ">": "<",
    "<": ">",
    ">=": "<=",
    "<=": ">=",
    "crosses_above": "crosses_below",
    "crosses_below": "crosses_above",
}


def _pairs(*pairs: tuple[str, str]) -> dict[str, str]:
    return {a: b for pair in pairs for a, b in (pair, pair[::-1])}


_FEATURES = _pairs(("plus_di", "minus_di"), ("plus_dm", "minus_dm"))
_OUTPUTS = _pairs(
    ("upperband", "lowerband"),
    ("support", "resistance"),
    ("support_touches", "resistance_touches"),
    ("last_high", "last_low"),
    ("label_high", "label_low"),
    ("high", "low"),
    ("hahigh", "halow"),
    ("swinghigh", "swinglow"),
    ("aroonup", "aroondown"),
    ("plusvi", "minusvi"),
    ("bullpower", "bearpower"),
)
_PARAMETERS = _pairs(("nbdevup", "nbdevdn"))
_COMPLEMENTS = {("percentile", "percentile"): 100}  # a parameter whose mirror image is what is missing to this

_UNDIRECTED = frozenset(("adx", "adxr", "dx", "er", "vhf", "cvi", "pvo", "ht_dcperiod", "ht_trendmode"))
"""Features that measure strength, width or activity: a high value means the same in a rise and in a fall."""


def mirror_rule(rule: Rule) -> Rule:
    """Return the rule's mirror image; the function is its own inverse.

    Operators and streaks are turned round, a centred column's constant about zero, a bounded one's about its centre
    (RSI 30 and 70), and an upper line becomes the lower one. A column that has an opposite and no sign (+DI and -DI,
    Aroon up and down) only changes places with it. Volume, unbounded columns such as the ATR, and measures of a trend's
    strength say nothing of direction and stay as they are.
    """
    match rule:
        case Group(at_least, rules):
            return Group(at_least, tuple(mirror_rule(inner) for inner in rules))
        case Trend(feature, direction, bars):
            if _turns(feature):
                direction = "falling" if direction == "rising" else "rising"
            return Trend(mirror_reference(feature), direction, bars)
        case Compare(left, operator, right):
            turns = _turns(left)
            if isinstance(right, FeatureRef):
                right = mirror_reference(right)
            elif turns:
                right = _mirror_value(_scale(left), right)
            return Compare(mirror_reference(left), _FLIPPED[operator] if turns else operator, right)


@cache
def mirror_reference(reference: FeatureRef) -> FeatureRef:
    """Return the column that is to a falling market what ``reference`` is to a rising one, often itself."""
    params = dict(reference.params)
    mirrored = []
    for name, value in reference.params:
        value = params.get(_PARAMETERS.get(name, name), value)
        whole = _COMPLEMENTS.get((reference.name, name))
        mirrored.append((name, value if whole is None else whole - value))
    return replace(
        reference,
        name=_FEATURES.get(reference.name, reference.name),
        params=tuple(mirrored),
        output=_OUTPUTS.get(reference.output, reference.output),
    )


def _scale(reference: FeatureRef) -> Scale:
    return column_scale(reference)


@cache
def _turns(reference: FeatureRef) -> bool:
    """Whether high and low are swapped in the mirror image of the column."""
    if reference.name in _UNDIRECTED or not get_feature(reference.name).directed:
        return False
    scale = get_feature(reference.name).output(reference.output).scale  # a transform keeps the direction
    if scale.kind == "bounded":
        return _signed(scale) or mirror_reference(reference) == reference
    return scale.kind in ("price", "centred", "ratio")


def _signed(scale: Scale) -> bool:
    return scale.low is not None and scale.high is not None and scale.low == -scale.high


def _mirror_value(scale: Scale, value: float) -> float:
    if scale.kind == "bounded" and scale.low is not None and scale.high is not None:
        return round(scale.low + scale.high - value, 12)  # 0.8 and not 0.7999999999999999 for 0.2 of 0..1
    return 0.0 - value  # -0.0 would be written -0

"""Bar fields as features, so that a Play can name the close of another timeframe."""

from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params
from forge_core.features.reference import PRICE_FIELDS
from forge_core.features.relations import NO_RELATIONS, Order, Relations, within
from forge_core.features.scale import Scale

_RELATIONS = {
    "open": Relations(within("low.real", "real", "high.real")),
    "close": Relations(within("low.real", "real", "high.real")),
    "low": Relations((Order("real", "high.real"),)),
}


def _price_feature(name: str) -> FeatureDefinition:
    def identity(bars: Bars, params: Params) -> tuple[Floats, ...]:
        return (bars[name],)

    scale = Scale("volume", 0.0) if name == "volume" else Scale("price")
    return FeatureDefinition(
        name=name,
        kind="price",
        description=f"The bar's {name}.",
        parameters=(),
        outputs=(Output("real", scale),),
        default_output="real",
        function=identity,
        bars_needed=lambda params: 0,
        relations=_RELATIONS.get(name, NO_RELATIONS),
    )


PRICES = tuple(_price_feature(name) for name in PRICE_FIELDS)

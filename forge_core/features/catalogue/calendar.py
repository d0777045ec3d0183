"""Calendar features: wall clock and trading session at the bar's close."""

from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params
from forge_core.features.scale import Scale
from forge_core.market.reference.clock import LONGEST_SESSION


def _calendar_feature(
    name: str, description: str, low: float, high: float, thresholds: tuple[float, ...]
) -> FeatureDefinition:
    def identity(bars: Bars, params: Params) -> tuple[Floats, ...]:
        return (bars[name],)  # computed by market.reference.clock from the bars' times

    return FeatureDefinition(
        name=name,
        kind="calendar",
        description=description,
        parameters=(),
        outputs=(Output("real", Scale("bounded", low, high), thresholds),),
        default_output="real",
        function=identity,
        bars_needed=lambda params: 0,
        directed=False,
    )


def _between(low: int, high: int) -> tuple[float, ...]:
    """Return the numbers halfway between the whole ones from ``low`` to ``high``."""
    return tuple(number + 0.5 for number in range(low, high))


_MINUTES = (15.0, 30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 330.0, 480.0, 720.0, 960.0, 1200.0)

CALENDAR = (
    _calendar_feature("hour", "Hour of the close, 24 at midnight.", 0, 24, _between(0, 24)),
    _calendar_feature("weekday", "Weekday of the close, 0 is Monday.", 0, 6, _between(0, 6)),
    _calendar_feature("day_of_month", "Day of the month of the close.", 1, 31, _between(1, 31)),
    _calendar_feature("month", "Month of the close.", 1, 12, _between(1, 12)),
    _calendar_feature(
        "minutes_since_open", "Minutes from the session's opening to the close.", 0, LONGEST_SESSION, _MINUTES
    ),
    _calendar_feature(
        "minutes_to_close", "Minutes from the bar's close to the session's.", 0, LONGEST_SESSION, _MINUTES
    ),
)

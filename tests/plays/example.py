"""The Play that the tests bend: a sound one, and what a change of its text is refused with."""

import pytest

from forge_core.errors import PlayError
from forge_core.plays.parser import parse_play

TEXT = """\
name: example
timeframe: 15m
features:
  fast: {indicator: ema, timeperiod: 12}
  slow: {indicator: ema, timeperiod: 48, timeframe: 1h}
  rsi: {indicator: rsi, timeperiod: 14}
  bands: {indicator: bbands, timeperiod: 20}
  macd: {indicator: macd}
  atr: {indicator: atr}
entry:
  long: fast > slow
exit:
  long:
    any:
      - rsi > 75
      - close < slow
risk:
  stop: {atr: 2.5}
"""


def change(old: str, new: str) -> str:
    """The example with one passage replaced."""
    assert TEXT.count(old) == 1, f"{old!r} stands {TEXT.count(old)} times in the example"
    return TEXT.replace(old, new)


def with_rule(rule: str) -> str:
    """The example with ``rule`` as its long entry, on line 11."""
    return change("long: fast > slow", f"long: {rule!r}")


def refusal(text: str) -> str:
    """The message with which ``text`` is refused."""
    with pytest.raises(PlayError) as error:
        parse_play(text, "example.yaml")
    return str(error.value)

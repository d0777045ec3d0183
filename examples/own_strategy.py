"""From an idea to a judgement: a Play in YAML, its backtest, what small changes do, and what it would do now.

Run: python examples/own_strategy.py
"""

# %% An idea: buy weakness in an uptrend of the S&P 500, leave on strength
import forge_core
from forge_core.evidence.markets.market import Market
from forge_core.judging.signal import signal
from forge_core.judging.stress import stress_table, stress_test, summary
from forge_core.market.datasets.build import ensure_dataset

play = forge_core.parse_play("""
name: dip
timeframe: 1d
features:
  trend: {indicator: sma, timeperiod: 200}
  rsi: {indicator: rsi, timeperiod: 5}
entry:
  long: [close > trend, rsi < 30]
exit:
  long: rsi > 60
risk: {stop: {percent: 0.08}, max_bars: 20}
""")

# %% What it did in several markets
table = forge_core.backtest_many(play, ["SP500_FULL_CYCLE", "NASDAQ_FULL_CYCLE", "SP500_BEAR_2008"])
print(table[["data", "total_return", "sharpe", "max_drawdown", "total_trades"]].round(3))

# %% The page to send to a colleague
result = forge_core.backtest(play, "SP500_FULL_CYCLE")
print(result.to_html("dip.html"))

# %% What small changes do to it
version = ensure_dataset("SP500_FULL_CYCLE")
rows = stress_test(play, Market.of(version, play.timeframe))
print(summary(rows))
print(stress_table(rows).groupby("kind", sort=False)["sharpe"].agg(["count", "min", "max"]).round(2))

# %% What it would do at the next open
now = signal(play, result.feed)
print(now.order, "because", now.reason)
for state in now.rules:
    print(f"  {state.group}: {state.rule} is {state.true}")

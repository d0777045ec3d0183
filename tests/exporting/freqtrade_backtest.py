"""Run with freqtrade's Python: its own backtest of a strategy on one pair's bars, without network.

Arguments: strategy file, class, bars (Feather: timestamp, open, high, low, close, volume), fee a side, JSON to write.
"""

import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock, PropertyMock, patch

import pandas as pd
from freqtrade.enums import CandleType, RunMode
from freqtrade.optimize.backtesting import Backtesting

PAIR = "SIM/USDT"
MARKET = {
    "id": "SIMUSDT", "symbol": PAIR, "base": "SIM", "quote": "USDT", "active": True, "spot": True, "type": "spot",
    "precision": {"price": 1e-8, "amount": 1e-8}, "info": {}, "contractSize": None, "taker": 0.0, "maker": 0.0,
    "limits": {"amount": {"min": 1e-8, "max": 1e12}, "price": {}, "cost": {"min": 1e-4}, "leverage": {}},
}  # fmt: skip
EXCHANGE = "freqtrade.exchange.exchange.Exchange."


def main(strategy: str, name: str, bars_file: str, fee: str, out: str) -> None:
    bars = pd.read_feather(bars_file)
    bars.columns = ["date", *bars.columns[1:]]
    folder = Path(tempfile.mkdtemp())
    pricing = {"price_side": "same", "use_order_book": False, "order_book_top": 1}
    config = {
        "stake_currency": "USDT", "stake_amount": 10_000, "dry_run": True, "dry_run_wallet": 1e6, "max_open_trades": 1,
        "tradable_balance_ratio": 0.99, "trading_mode": "spot", "margin_mode": "", "timeframe": "1h",
        "fee": float(fee), "runmode": RunMode.BACKTEST, "candle_type_def": CandleType.SPOT,
        "exchange": {"name": "binance", "key": "", "secret": "", "pair_whitelist": [PAIR], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}], "entry_pricing": pricing, "exit_pricing": pricing,
        "strategy": name, "strategy_path": str(Path(strategy).parent), "user_data_dir": folder,
        "datadir": folder / "data", "exportdirectory": folder, "internals": {}, "dataformat_ohlcv": "feather",
        "dataformat_trades": "feather", "export": "none",
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"},
    }  # fmt: skip
    (folder / "data").mkdir()
    api = MagicMock(id="binance", precisionMode=4, timeframes={"1h": "1h"}, markets={PAIR: MARKET})
    patches = [
        patch(EXCHANGE + "_init_ccxt", return_value=api),
        patch(EXCHANGE + "markets", PropertyMock(return_value={PAIR: MARKET})),
        patch(EXCHANGE + "get_fee", return_value=float(fee)),
        patch(EXCHANGE + "precisionMode", PropertyMock(return_value=4)),
        patch(EXCHANGE + "precision_mode_price", PropertyMock(return_value=4), create=True),
        patch(EXCHANGE + "timeframes", PropertyMock(return_value=["1h"]), create=True),
        patch(EXCHANGE + "get_min_pair_stake_amount", return_value=1e-4),
        patch(EXCHANGE + "get_max_pair_stake_amount", return_value=1e12),
        patch(EXCHANGE + "ohlcv_candle_limit", return_value=1000),
        patch(EXCHANGE + "validate_required_startup_candles", return_value=1, create=True),
    ]
    patches += [
        patch(EXCHANGE + what, create=True)
        for what in ("reload_markets", "validate_config", "validate_timeframes", "close")
    ]
    for one in patches:
        one.start()
    backtesting = Backtesting(config)
    backtesting._set_strategy(backtesting.strategylist[0])
    backtesting.fee = float(fee)
    found = backtesting.backtest(
        processed=backtesting.strategy.advise_all_indicators({PAIR: bars}),
        start_date=bars["date"].iloc[0].to_pydatetime(),
        end_date=bars["date"].iloc[-1].to_pydatetime(),
    )["results"]
    table = found[["open_date", "close_date", "open_rate", "close_rate", "exit_reason"]].astype(str)
    table.to_json(out, orient="records")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""``forge play``: validation and backtest of Plays."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forge_core.cli.console import Commands, progress, reports_errors, say, show_table

if TYPE_CHECKING:
    from forge_core.engine.report.result import BacktestResult

app = Commands(help="Plays: check, backtest and judge a strategy in YAML.")

PlayFile = Annotated[Path, typer.Argument(metavar="PLAY", help="The Play's YAML file.")]
PlayFiles = Annotated[list[Path], typer.Argument(metavar="PLAY", help="YAML files of Plays.")]
Dataset = Annotated[str, typer.Option("--dataset", "-d", help="Name of a dataset; it is built if necessary.")]

_SHOWN = ("total_return", "cagr", "sharpe", "max_drawdown", "total_trades", "win_rate", "profit_factor", "exposure")


class PolicyName(StrEnum):
    """Fill policy for a bar that reaches both stop and target."""

    pessimistic = "pessimistic"
    ohlc_path = "ohlc_path"
    replay = "replay"


@app.command("check")
@reports_errors
def check(plays: PlayFiles) -> None:
    """Check Plays: syntax, names, scales, and that each has an entry and an exit.

    Example: `forge play check studies/plays/ema_cross.yaml`
    """
    from forge_core.plays.canonical import play_hash
    from forge_core.plays.describe import describe_play
    from forge_core.plays.parser import load_play

    for path in plays:
        play = load_play(path)
        say(f"{path}: {play.name} is valid, hash {play_hash(play)}")
        say(describe_play(play) + "\n")


@app.command("backtest")
@reports_errors
def backtest_plays(
    plays: PlayFiles,
    datasets: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", help="Name of a dataset; it is built if necessary. May be repeated."),
    ] = None,
    bars: Annotated[Path | None, typer.Option(help="File of bars to trade instead of a dataset.")] = None,
    instrument: Annotated[
        str | None, typer.Option(help="With --bars: symbol of datasets/instruments.yaml [default: generic terms].")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day or time (UTC); earlier bars warm up.")] = None,
    end: Annotated[str | None, typer.Option(help="Day or time (UTC) before which the backtest ends.")] = None,
    cash: Annotated[float, typer.Option(help="Starting equity, in quote currency.")] = 100_000.0,
    policy: Annotated[
        PolicyName, typer.Option(help="Which level fills in a bar that reaches both stop and target.")
    ] = PolicyName.pessimistic,
    finer: Annotated[
        Path | None, typer.Option(help="With --policy replay: file of finer bars [default: the dataset's finest].")
    ] = None,
    commission_bps: Annotated[
        float | None, typer.Option(min=0, help="Commission a side instead of the instrument's, in 0.01 %.")
    ] = None,
    slippage_bps: Annotated[
        float | None, typer.Option(min=0, help="Slippage a fill instead of the instrument's, in 0.01 %.")
    ] = None,
    no_costs: Annotated[bool, typer.Option("--no-costs", help="No commission, slippage or borrow.")] = False,
    trades: Annotated[int, typer.Option(min=0, help="Number of last trades to show.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print terms and metrics as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report as an offline HTML page (one backtest).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write trades, equity and metrics to this folder.")] = None,
) -> None:
    """Backtest Plays on datasets or a file of bars, and print their metrics.

    One Play on one dataset prints every metric, several print a table.

    Examples: `forge play backtest studies/plays/ema_cross.yaml --dataset SP500_FULL_CYCLE --html ema.html`,
    `forge play backtest studies/plays/ema_cross.yaml -d SP500_BEAR_2008 -d SP500_BULL_2013`
    """
    from forge_core.engine.backtest import backtest
    from forge_core.engine.costs import Costs
    from forge_core.errors import ConfigError, ForgeError
    from forge_core.judging.inputs import adjusted_costs, dataset_feed, file_feed, finer_dataset_feed
    from forge_core.market.importing.importer import read_bars_file
    from forge_core.plays.parser import load_play

    if bool(datasets) == (bars is not None):
        raise ConfigError("expected either datasets (-d NAME, may be repeated) or a file of bars (--bars FILE)")
    if no_costs and (commission_bps is not None or slippage_bps is not None):
        raise ConfigError("--no-costs excludes --commission-bps and --slippage-bps; give one or the other")
    names = [str(bars)] if bars is not None else list(dict.fromkeys(datasets or []))
    loaded = [(path, load_play(path)) for path in plays]
    if html is not None and len(loaded) * len(names) > 1:
        raise ConfigError("--html writes the report of one backtest; give one Play and one dataset")
    finer_bars = read_bars_file(finer) if finer is not None else None
    results: list[tuple[str, str, BacktestResult]] = []
    failures: list[str] = []
    with progress("backtests") as show:
        for path, play in loaded:
            for name in names:
                try:
                    if bars is not None:
                        feed = file_feed(bars, play.timeframe, instrument, start, end)
                    else:
                        feed = dataset_feed(name, play.timeframe, start, end)
                    costs = Costs.zero() if no_costs else None
                    costs = costs or adjusted_costs(
                        feed.instrument, commission_bps=commission_bps, slippage_bps=slippage_bps
                    )
                    replay: Any = finer_bars
                    if policy == PolicyName.replay and replay is None:
                        if bars is not None:
                            raise ConfigError("policy 'replay' needs finer bars: give a file with --finer")
                        replay = finer_dataset_feed(name, play.timeframe)
                    given: dict[str, Any] = {
                        "costs": costs,
                        "cash": cash,
                        "policy": policy.value,
                        "finer": replay,
                        "source": name,
                    }
                    results.append((path.stem, name, backtest(play, feed, **given)))
                except ForgeError as error:
                    if len(loaded) * len(names) == 1:
                        raise
                    failures.append(f"{path} on {name}: {error}")
                show(len(results) + len(failures), len(loaded) * len(names))
    if as_json:
        typer.echo(json.dumps([_document(path, name, result) for path, name, result in results], indent=2))
    elif len(results) == 1 and not failures:
        say(results[0][2].summary())
    elif results:
        rows = [(path, name, *(result.metrics[metric] for metric in _SHOWN)) for path, name, result in results]
        show_table(("play", "data", *_SHOWN), rows)
    for label, name, result in results:
        if trades > 0:
            say(f"\nlast trades of {label} on {name}")
            say(result.trades.tail(trades).to_string())
        if html is not None:
            say(f"report: {result.to_html(html)}")
        if out is not None:
            folder = out if len(results) == 1 else out / f"{label}_{Path(name).stem}"
            say(f"tables: {result.to_parquet(folder)}")
    if failures:
        raise ConfigError("\n".join(failures))


@app.command("report")
@reports_errors
def report(
    play: PlayFile,
    dataset: Dataset,
    html: Annotated[
        Path | None, typer.Option("--html", "-o", help="File to write [default: PLAY_DATASET.html].")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day or time (UTC); earlier bars warm up.")] = None,
    end: Annotated[str | None, typer.Option(help="Day or time (UTC) before which the backtest ends.")] = None,
    cash: Annotated[float, typer.Option(help="Starting equity, in quote currency.")] = 100_000.0,
) -> None:
    """Backtest a Play and write a page about it: rules, terms, equity, months, drawdowns, costs and all trades.

    Example: `forge play report studies/plays/ema_cross.yaml -d SP500_FULL_CYCLE --html ema_cross.html`
    """
    from forge_core.engine.backtest import backtest
    from forge_core.judging.inputs import dataset_feed
    from forge_core.plays.parser import load_play

    loaded = load_play(play)
    result = backtest(loaded, dataset_feed(dataset, loaded.timeframe, start, end), cash=cash, source=dataset)
    say(f"report: {result.to_html(html or Path(f'{play.stem}_{dataset}.html'))}")


@app.command("simplify")
@reports_errors
def simplify_play(
    path: PlayFile,
    datasets: Annotated[
        list[str], typer.Option("--dataset", "-d", help="Dataset on which trades must not change; may be repeated.")
    ],
    cash: Annotated[float, typer.Option(help="Starting equity, in quote currency.")] = 100_000.0,
    out: Annotated[Path | None, typer.Option(help="File to write the Play to [default: print it].")] = None,
) -> None:
    """Remove the rules, exits, levels and features of a Play that change no trade on the datasets.

    Example: `forge play simplify studies/plays/rsi_reversion.yaml --dataset SP500_FULL_CYCLE`
    """
    from forge_core.engine.fill_rules import STRICT
    from forge_core.evolution.run.simplify import simplify
    from forge_core.files import write_text
    from forge_core.judging.inputs import dataset_feed
    from forge_core.plays.parser import load_play, play_to_yaml

    play = load_play(path)
    feeds = {name: dataset_feed(name, play.timeframe) for name in datasets}
    found = simplify(play, feeds, {"costs": None, "cash": cash, "policy": "pessimistic", "fills": STRICT})
    text = play_to_yaml(found.play)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
    for part in found.removed:
        typer.echo(f"removed: {part}", err=True)
    typer.echo(f"{len(found.removed)} parts removed, {len(found.trades)} trades unchanged", err=True)


def _document(path: str, name: str, result: "BacktestResult") -> dict[str, Any]:
    first, last = result.equity.index[0], result.equity.index[-1]
    return {
        "play": path,
        "data": name,
        "symbol": result.feed.instrument.symbol,
        "timeframe": result.feed.timeframe,
        "first_close": first.isoformat(),
        "last_close": last.isoformat(),
        "bars": int(result.equity.size),
        "cash": result.cash,
        "costs": result.costs.model_dump(),
        "policy": result.policy,
        "metrics": dict(result.metrics),
        "undefined": result.metrics.undefined,
    }

"""``forge instruments``: symbols with their contract terms and costs."""

from typing import Annotated, Any

import typer

from forge_core.cli.console import Commands, reports_errors, say, show_table

app = Commands(help="Instruments: symbols with contract terms and costs, in datasets/instruments.yaml.")


@app.command("list")
@reports_errors
def list_instruments() -> None:
    """List the instruments with kind, source, tick, lot and costs.

    Example: `forge instruments list`
    """
    from forge_core.market.reference.instruments import load_instruments

    rows = [
        (
            symbol,
            each.kind,
            each.source,
            each.tick,
            each.lot,
            f"{each.commission_bps:g} bps" if each.commission_bps else f"{each.commission_per_contract:g} a contract",
            f"{each.slippage_bps:g} bps" if each.slippage_bps else f"{each.slippage_ticks:g} ticks",
            each.description,
        )
        for symbol, each in load_instruments().items()
    ]
    show_table(("symbol", "kind", "source", "tick", "lot", "commission a side", "slippage", "description"), rows)


@app.command("add")
@reports_errors
def add(
    symbol: Annotated[str, typer.Argument(help="Symbol of the new instrument, such as XRPUSDT.")],
    like: Annotated[str | None, typer.Option(help="Instrument whose other values are copied, such as BTCUSDT.")] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the entry, such as tick=0.01; may be repeated."),
    ] = None,
) -> None:
    """Add an instrument to datasets/instruments.yaml. All other lines of the file are unchanged.

    Example: `forge instruments add XRPUSDT --like BTCUSDT --set tick=0.0001 --set lot=0.1`
    """
    import yaml

    from forge_core.errors import ConfigError
    from forge_core.market.reference.instrument_edit import add_instrument

    given: dict[str, Any] = {}
    for text in values or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {text!r}: expected KEY=VALUE, such as tick=0.01")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text!r}: {value!r} is no YAML value") from None
        given[key.strip()] = value if isinstance(parsed, dict) and not value.lstrip().startswith("{") else parsed
    say(f"{symbol} added to {add_instrument(symbol, given, like)}")

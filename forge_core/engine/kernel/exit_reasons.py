"""Exit reasons of a trade: names as in ``docs/fill_contract.md``, and codes in the kernel's records."""

EXIT_REASONS = (
    "exit",
    "reversal",
    "max_bars",
    "stop",
    "trailing_stop",
    "take_profit",
    "liquidation",
    "roll",
    "ruin",
    "end_of_data",
    "flat_by",
)

# Codes are positions in EXIT_REASONS; plain integers, so that numba sees constants.
(
    EXIT,
    REVERSAL,
    MAX_BARS,
    STOP,
    TRAILING_STOP,
    TAKE_PROFIT,
    LIQUIDATION,
    ROLL,
    RUIN,
    END_OF_DATA,
    FLAT_BY,  # an exit by rule in the kernel, recorded by `engine.simulate`
) = range(11)

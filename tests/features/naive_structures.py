"""The structures of docs/features.md in plain Python, each value from the bars up to its own; slow and obvious."""

import math


def swing_at(prices, at, left, right, better):
    """Whether ``prices[at]`` stands out from ``left`` prices before it and ``right`` prices after it."""
    before = all(better(prices[at], other) for other in prices[at - left : at])
    after = all(not better(other, prices[at]) for other in prices[at + 1 : at + right + 1])
    return before and after


def above(one, other):
    return one > other


def below(one, other):
    return one < other


def swings_known(bars, i, left, right):
    """All swings confirmed by bar ``i``: (bar, "high" or "low", price), in the order of their bars."""
    known = []
    for at in range(left, i - right + 1):
        if swing_at(bars["high"], at, left, right, above):
            known.append((at, "high", bars["high"][at]))
        if swing_at(bars["low"], at, left, right, below):
            known.append((at, "low", bars["low"][at]))
    return known


def sign(number):
    return math.copysign(1.0, number) if number else 0.0


def last_of(known, kind):
    """Price of the last swing of a kind and its label, nan where there is none."""
    prices = [price for _, each, price in known if each == kind]
    price = prices[-1] if prices else math.nan
    label = sign(prices[-1] - prices[-2]) if len(prices) > 1 else math.nan
    return price, label


def swings(bars, i, left, right):
    known = swings_known(bars, i, left, right)
    (high, label_high), (low, label_low) = last_of(known, "high"), last_of(known, "low")
    return {"last_high": high, "last_low": low, "label_high": label_high, "label_low": label_low}


def trend(bars, i, left, right):
    labels = swings(bars, i, left, right)
    high, low = labels["label_high"], labels["label_low"]
    if math.isnan(high) or math.isnan(low):
        return {"state": math.nan}
    return {"state": 1.0 if high == low == 1.0 else -1.0 if high == low == -1.0 else 0.0}


def breaks(bars, i, left, right):
    if i < left + right:
        return dict.fromkeys(("bos", "choch", "direction"), math.nan)
    broken, direction = set(), 0.0
    for bar in range(left + right, i + 1):
        known = swings_known(bars, bar, left, right)
        bos = choch = 0.0
        for kind, way, beyond in (("high", 1.0, above), ("low", -1.0, below)):
            latest = [swing for swing in known if swing[1] == kind][-1:]
            if latest and latest[0] not in broken and beyond(bars["close"][bar], latest[0][2]):
                broken.add(latest[0])
                bos, choch = (0.0, way) if direction == -way else (way, 0.0)
                direction = way
    return {"bos": bos, "choch": choch, "direction": direction}


def fibonacci(bars, i, left, right):
    """Legs as (start, end) prices, built swing by swing in the order in which the swings are confirmed."""
    tip = kind = start = None
    known = swings_known(bars, i, left, right)
    both = {at for at, each, _ in known if each == "high"} & {at for at, each, _ in known if each == "low"}
    for at, each, price in known:
        if at in both:
            if each == "low" or bars["high"][at] == bars["low"][at]:
                continue
            if kind is None:
                kind = "high" if bars["close"][at] >= bars["open"][at] else "low"
            ends = {"high": bars["high"][at], "low": bars["low"][at]}
            start, tip = ends["low" if kind == "high" else "high"], ends[kind]
        elif each == kind:
            tip = max(tip, price) if kind == "high" else min(tip, price)
        elif tip is None or (price > tip if each == "high" else price < tip):
            start, tip, kind = tip, price, each
    names = ("level_236", "level_382", "level_500", "level_618", "level_786")
    if start is None:
        return dict.fromkeys((*names, "retracement", "direction"), math.nan)
    levels = {name: tip - int(name[-3:]) / 1000 * (tip - start) for name in names}
    retracement = (tip - bars["close"][i]) / (tip - start)
    return {**levels, "retracement": retracement, "direction": 1.0 if kind == "high" else -1.0}


def zone(bars, i, kind, *, lookback, strength, tolerance, atr):
    """Level and touches of one side: settled at the last bar at which the swings that count were others than before."""
    settled, before = i, None
    for bar in range(i, -1, -1):
        now = [swing for swing in swings_known(bars, bar, strength, strength) if swing[1] == kind]
        now = [swing for swing in now if swing[0] > bar - lookback]  # ``lookback`` bars, this one among them
        if before is not None and now != before:
            break
        if math.isnan(atr[bar]):
            break
        settled, before = bar, now
    if not before:
        return math.nan, math.nan
    groups = []
    for at, _, price in before:
        members = [other for _, _, other in before if abs(other - price) <= tolerance * atr[settled]]
        groups.append((len(members), at, sum(members) / len(members)))
    touches, _, level = max(groups)
    return level, float(touches)


def price_range(bars, i, lookback):
    if i < lookback:
        return dict.fromkeys(("high", "low", "middle", "width", "position"), math.nan)
    high, low = max(bars["high"][i - lookback : i]), min(bars["low"][i - lookback : i])
    middle = (high + low) / 2
    inside = (bars["close"][i] - low) / (high - low) if high > low else math.nan
    if high == low and bars["close"][i] != low:
        inside = 1.0 if bars["close"][i] > high else 0.0
    return {
        "high": high,
        "low": low,
        "middle": middle,
        "width": 100 * (high - low) / abs(middle) if middle else math.nan,
        "position": inside if math.isnan(inside) else min(max(inside, 0.0), 1.0),
    }
